//! Files as people name and leave them: `~`, names that are not UTF-8, byte order marks, pipes, adapters on a part of
//! the layers, folders of other programs.

#![cfg(unix)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Output;

use crate::practice::{Practice, err, out};

fn script(bench: &Practice, code: &str, args: &[&str]) -> Output {
    bench.etude(&[&["-e", code], args].concat()).env("HOME", bench.path("home")).output().expect("it runs")
}

#[test]
fn a_tilde_is_the_home_folder_in_every_path() {
    let bench = Practice::new(1, "batch_size: 2\n");
    let code = r#"
        write("~/a/b.txt", "x");
        make_folder("~/made");
        chords("Dm7 G7").score().save("~/midi/a.mid");
        plot([1, 2]).save("~/a.svg");
        tokenizer("performance").save("~/tok.json");
        print(read("~/a/b.txt") + exists("~/made") + midi_files("~/midi").len + tokenizer("~/tok.json").name
            + midi("~/midi/a.mid").notes.len);
    "#;
    let done = script(&bench, code, &[]);
    assert!(done.status.success(), "{}", err(&done));
    assert!(out(&done).starts_with("xtrue1performance"), "{}", out(&done));
    for file in ["home/a/b.txt", "home/made", "home/midi/a.mid", "home/a.svg", "home/tok.json"] {
        assert!(bench.path(file).exists(), "{file}");
    }
    let other = script(&bench, r#"write("~somebody/a.txt", "x")"#, &[]);
    assert!(!other.status.success() && err(&other).contains("another user"), "{}", err(&other));
    let mut train = bench.etude(&["train", "--config=recipe.yaml", "--data_dir", "midi", "--max_steps=1"]);
    let done = train.arg("--output_dir=~/run").env("HOME", bench.path("home")).output().expect("it runs");
    assert!(done.status.success() && bench.path("home/run/config.json").is_file(), "{}", err(&done));
    assert!(!bench.path("~").exists() && !bench.path("~somebody").exists(), "no folder is called so");
}

#[test]
fn a_piece_whose_name_is_not_utf_8_is_trained_on_and_gone_on_with() {
    let bench = Practice::new(1, "batch_size: 2\n");
    let odd = bench.path("midi").join(OsStr::from_bytes(b"caf\xe9.mid"));
    fs::rename(bench.path("midi/3.mid"), &odd).expect("renamed");
    let train = |args: &[&str]| {
        let done = bench.etude(&[&["train", "--output_dir", "run"], args].concat()).output().expect("it runs");
        assert!(done.status.success(), "{}{}", out(&done), err(&done));
    };
    train(&["--config", "recipe.yaml", "--data_dir", "midi", "--max_steps", "1"]);
    train(&["--resume", "--max_steps", "2"]);
    assert!(bench.path("run/checkpoint-2").is_dir());
    let shown =
        script(&bench, "for path in midi_files(args[0]) { print(path + ' ' + midi(path).notes.len) }", &["midi"]);
    assert!(out(&shown).contains("caf\u{fffd}.mid "), "{}{}", out(&shown), err(&shown));
}

#[test]
fn a_byte_order_mark_is_skipped_wherever_text_is_read() {
    let bench = Practice::new(1, "batch_size: 2\n");
    let marked = |name: &str, text: &str| fs::write(bench.path(name), format!("\u{feff}{text}")).expect("written");
    marked("bom.rhai", "let x = 1;\nlet s = \"two\";\n/* a\ncomment */\nprint(`${x} ${s}`);\n");
    let recipe = fs::read_to_string(bench.path("recipe.yaml")).expect("it is there");
    marked("bom.yaml", &format!("{recipe}max_steps: 1\nlr: 1e-3\n"));
    marked(
        "cells.ipynb",
        r#"{"cells": [{"cell_type": "code", "source": ["print(2)"], "metadata": {}, "outputs": [], "execution_count": null}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"#,
    );
    let ran = bench.etude(&["run", "bom.rhai"]).output().expect("it runs");
    assert_eq!((out(&ran).trim(), ran.status.code()), ("1 two", Some(0)), "{}", err(&ran));
    let ran = bench.etude(&["run", "cells.ipynb"]).output().expect("it runs");
    assert_eq!((out(&ran).trim(), ran.status.code()), ("2", Some(0)), "{}", err(&ran));
    let args = ["train", "--config", "bom.yaml", "--data_dir", "midi", "--output_dir", "run"];
    let ran = bench.etude(&args).output().expect("it runs");
    assert!(ran.status.success(), "{}", err(&ran));
    let tokenizer = fs::read_to_string(bench.path("run/tokenizer.json")).expect("it is there");
    marked("tok.json", &tokenizer);
    let ran = script(&bench, "print(tokenizer(args[0]).vocab_size > 100)", &["tok.json"]);
    assert_eq!(out(&ran).trim(), "true", "{}", err(&ran));
}

#[test]
fn what_never_ends_is_refused_before_it_is_read() {
    let bench = Practice::new(1, "");
    let made = bench.command("mkfifo").arg("pipe").status().expect("mkfifo is there");
    assert!(made.success());
    for endless in ["pipe", "/dev/zero"] {
        let code = "for f in [config, tokenizer, midi, read_json] { try { f(args[0]) } catch (e) { print(e) } }";
        let output = script(&bench, code, &[endless]);
        assert_eq!(out(&output).matches("is a pipe or a device").count(), 4, "{}{}", out(&output), err(&output));
        fs::create_dir_all(bench.path("model")).expect("made");
        let _ = fs::remove_file(bench.path("model/config.json"));
        std::os::unix::fs::symlink(bench.path(endless), bench.path("model/config.json")).expect("a link");
        let output = script(&bench, "load_model(args[0])", &["model"]);
        assert!(!output.status.success() && err(&output).contains("is a pipe or a device"), "{}", err(&output));
    }
    let code = "try { model(#{ vocab_size: 9, hidden_size: 1000000000000000000, num_attention_heads: 1 }) } catch (e) { print(e) }
                try { model(#{ vocab_size: 9, head_dim: 1000000 }) } catch (e) { print(e) }";
    let output = script(&bench, code, &[]);
    assert!(
        out(&output).contains("which no memory holds") && out(&output).contains("128 are usual"),
        "{}",
        out(&output)
    );
}

#[test]
fn what_is_written_to_standard_output_is_there_whatever_it_is() {
    let bench = Practice::new(1, "");
    let code = r#"print("a"); write("/dev/stdout", "b\n"); print("c")"#;
    let piped = script(&bench, code, &[]);
    assert_eq!(out(&piped), "a\nb\nc\n", "{}", err(&piped));
    fs::write(bench.path("code.rhai"), code).expect("written");
    let file = fs::File::create(bench.path("out.txt")).expect("made");
    let mut run = bench.etude(&["run", "code.rhai"]);
    assert!(run.stdout(file.try_clone().expect("the same file")).status().expect("it runs").success());
    let written = fs::read_to_string(bench.path("out.txt")).expect("there");
    assert!(["a", "b", "c"].iter().all(|line| written.contains(line)), "{written}");
    fs::create_dir_all(bench.path("home")).expect("made");
    fs::copy(bench.path("code.rhai"), bench.path("home/code.rhai")).expect("copied");
    let run = bench.etude(&["run", "~/code.rhai"]).env("HOME", bench.path("home")).output().expect("it runs");
    assert!(run.status.success(), "{}", err(&run));
}

const TINY: &str = r#"
    let tok = tokenizer("performance");
    let shape = #{ vocab_size: tok.vocab_size + 20, hidden_size: 16, num_hidden_layers: 3, num_attention_heads: 2,
                   intermediate_size: 32, max_position_embeddings: 32 };
    let net = model(shape);
"#;

#[test]
fn an_adapter_on_a_part_of_the_layers_reads_back() {
    let bench = Practice::new(1, "");
    let code = format!(
        r#"{TINY}
        for options in [
            #{{ target_modules: ["layers.1.self_attn.q_proj", "up_proj"] }},
            #{{ target_modules: ".*\\.[02]\\.self_attn\\.(q|v)_proj" }},
            #{{ target_modules: "all-linear", layers_to_transform: [1] }},
            #{{ target_modules: ["lm_head", "k_proj"] }},
        ] {{
            options.r = 2;
            let some = net.lora(options);
            some.save("one");
            some.save_adapter("two");
            net.save("plain");
            let names = load_model("one").parameters;
            if names != some.parameters || load_model("plain").load_adapter("two").parameters != names {{ throw "other layers: " + options }}
            print(`${{names.len}}`);
        }}
        print(config("one/adapter_config.json").target_modules);
        try {{ net.lora(#{{ target_modules: "(" }}) }} catch (e) {{ print(e) }}
        try {{ net.lora(#{{ target_modules: "q_proj", layers_to_transform: [9] }}) }} catch (e) {{ print(e) }}
        "#
    );
    let output = script(&bench, &code, &[]);
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    // q of one block and up of three; q and v of two; seven of one; k of three and the head: A and B of each.
    assert!(out(&output).starts_with("8\n8\n14\n8\n"), "{}", out(&output));
    assert!(
        out(&output).contains("not a regular expression") && out(&output).contains("layers_to_transform"),
        "{}",
        out(&output)
    );
}

#[test]
fn a_padded_vocabulary_trains_and_plays_and_what_a_folder_says_is_kept() {
    let bench = Practice::new(1, "");
    let code = format!(
        r#"{TINY}
        net.save("net");
        let shape = parse_json(read("net/config.json"));
        shape.eos_token_id = 2;
        shape.pad_token_id = 0;
        write("net/config.json", to_json(shape));
        write("net/generation_config.json", "{{\"temperature\": 0.7}}");
        write("net/tokenizer.json", "{{\"version\": \"1.0\", \"model\": {{\"type\": \"BPE\"}}}}");
        let net = load_model("net");
        net.tokenizer = tok;
        net.quantize("nf4").save("small");
        print(`${{parse_json(read("small/config.json")).eos_token_id}} ${{read("small/generation_config.json")}}`);
        let data = dataset("midi", tok, #{{ max_seq_len: 24, val: 0.3 }});
        let run = trainer(net.lora(#{{ r: 2 }}), data, #{{ batch_size: 2, max_steps: 2 }});
        run.fit();
        print(run.history.len);
        print(type_of(net.generate(sampler(#{{ seed: 1 }}), #{{ max_new_tokens: 20 }})));
        "#
    );
    let output = script(&bench, &code, &[]);
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    assert!(out(&output).starts_with("2 {\"temperature\": 0.7}\n2\nScore"), "{}", out(&output));
}

#[test]
fn names_of_other_trainers_are_answered_with_ours() {
    let bench = Practice::new(1, "");
    let train = |args: &[&str]| {
        let output = bench.etude(&[&["train", "--data_dir", "midi", "--output_dir", "run"], args].concat());
        err(&{ output }.output().expect("it runs"))
    };
    assert!(train(&["--learning_rate", "1e-3"]).contains("'--lr'"));
    assert!(train(&["--num_train_epochs", "3"]).contains("'--epochs'"));
    assert!(train(&["--report_to", "wandb"]).contains("tensorboard"));
    fs::write(bench.path("theirs.yaml"), "per_device_train_batch_size: 4\n").expect("written");
    assert!(train(&["--config", "theirs.yaml"]).contains("'batch_size'"));
}
