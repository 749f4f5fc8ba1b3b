//! The built-in programs: `etude quickstart`, `:load quickstart`. Each is a script of `scripts/`, whose first comment
//! is its help.

/// A built-in script.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// What it is called by.
    pub name: &'static str,
    /// Its text.
    pub source: &'static str,
}

/// All of them, by name.
pub const PROGRAMS: &[Program] = &[
    Program { name: "bench", source: include_str!("../../scripts/bench.rhai") },
    Program { name: "efficiency", source: include_str!("../../scripts/efficiency.rhai") },
    Program { name: "evaluate", source: include_str!("../../scripts/evaluate.rhai") },
    Program { name: "export", source: include_str!("../../scripts/export.rhai") },
    Program { name: "finetuning", source: include_str!("../../scripts/finetuning.rhai") },
    Program { name: "generate", source: include_str!("../../scripts/generate.rhai") },
    Program { name: "prepare", source: include_str!("../../scripts/prepare.rhai") },
    Program { name: "pretrain", source: include_str!("../../scripts/pretrain.rhai") },
    Program { name: "quickstart", source: include_str!("../../scripts/quickstart.rhai") },
    Program { name: "sweep", source: include_str!("../../scripts/sweep.rhai") },
    Program { name: "train", source: include_str!("../../scripts/train.rhai") },
];

/// The built-in recipes, by their file names in `configs/`.
pub const CONFIGS: &[(&str, &str)] = &[
    ("full_finetune", include_str!("../../configs/full_finetune.yaml")),
    ("qlora_default", include_str!("../../configs/qlora_default.yaml")),
    ("qlora_fast", include_str!("../../configs/qlora_fast.yaml")),
    ("qlora_production", include_str!("../../configs/qlora_production.yaml")),
    ("qlora_seq2seq", include_str!("../../configs/qlora_seq2seq.yaml")),
];

/// The built-in sweeps, by their file names in `configs/`.
pub const SWEEPS: &[(&str, &str)] = &[("sweep_config", include_str!("../../configs/sweep_config.yaml"))];

impl Program {
    /// The program with a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROGRAMS.iter().find(|p| p.name == name)
    }

    /// Its description in one line.
    pub fn about(&self) -> &'static str {
        self.source.lines().next().map_or("", comment)
    }

    /// Its description and arguments.
    pub fn help(&self) -> String {
        let lines = self.source.lines().take_while(|line| line.starts_with("//")).map(comment);
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A line of a comment without its slashes.
fn comment(line: &'static str) -> &'static str {
    let text = line.trim_start_matches('/');
    text.strip_prefix(' ').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Recipe;
    use crate::nn::LoraConfig;

    #[test]
    fn every_script_of_the_folder_is_inside() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let files = std::fs::read_dir(folder).expect("the folder is there").map(|e| e.expect("an entry").path());
        let mut names: Vec<String> = files
            .filter(|path| path.extension().is_some_and(|e| e == "rhai"))
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert!(names.len() >= 2, "{names:?}");
        assert_eq!(names, PROGRAMS.iter().map(|p| p.name).collect::<Vec<_>>());
    }

    #[test]
    fn every_recipe_is_sound_and_says_of_each_key_what_it_means() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        let adapters = serde_json::to_value(LoraConfig::default()).expect("a map");
        let adapters = adapters.as_object().expect("a map");
        for (name, text) in CONFIGS {
            assert!(folder.join(format!("{name}.yaml")).is_file(), "{name}");
            let map = crate::config::parse_yaml(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            let recipe = Recipe::from_map(name, map).unwrap_or_else(|e| panic!("{name}: {e}"));
            for key in Recipe::keys() {
                let adapter = adapters.contains_key(&key);
                let line = text.lines().find(|line| line.trim_start_matches("# ").starts_with(&format!("{key}:")));
                match line {
                    Some(line) => assert!(line.rsplit_once(" # ").is_some(), "{name}: {key} has no comment"),
                    None => assert!(adapter && recipe.lora.is_none(), "{name}: {key} is not there"),
                }
            }
        }
    }

    #[test]
    fn every_program_says_what_it_is_and_how_it_is_called() {
        for program in PROGRAMS {
            assert!(program.about().ends_with(['.', ':']), "{}: {}", program.name, program.about());
            assert!(program.help().contains(&format!("  etude {}", program.name)), "{}", program.help());
        }
    }
}
