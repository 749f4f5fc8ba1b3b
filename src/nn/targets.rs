//! The layers that get an adapter, selected as in PEFT (`peft/tuners/tuners_utils.py`, `check_target_module_exists`).

use fancy_regex::Regex;

use crate::error::{Error, Result};
use crate::nn::lora::{ALL_LINEAR, LoraConfig, matches};

/// A selection of layers.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    named: Vec<Target>,
    /// Layers that are excluded.
    excluded: Vec<Target>,
    /// The only blocks that are included.
    layers: Option<Vec<usize>>,
    /// Names of the blocks' list ("layers"); any name when empty.
    patterns: Vec<String>,
}

/// One entry of a selection.
#[derive(Debug)]
enum Target {
    AllLinear,
    /// The whole name, or the end of it from a dot on.
    Name(String),
    /// The whole name, as a regular expression.
    Regex(Regex),
}

impl Targets {
    /// The selection of a configuration: an entry with a character that layer names do not have is a regular
    /// expression.
    ///
    /// # Errors
    /// Names the expression that cannot be read.
    pub(crate) fn of(config: &LoraConfig) -> Result<Self> {
        let entry = |text: &String| if is_expression(text) { regex(text) } else { Ok(Target::named(text)) };
        let named = config.target_modules.iter().map(entry).collect::<Result<_>>()?;
        let excluded = config.exclude_modules.iter().map(entry).collect::<Result<_>>()?;
        let (layers, patterns) = (config.layers_to_transform.clone(), config.layers_pattern.clone());
        Ok(Self { named, excluded, layers, patterns })
    }

    /// The selection of a PEFT file: a list of names, or a text, which is a regular expression.
    ///
    /// # Errors
    /// Names the expression that cannot be read.
    pub(crate) fn of_peft(
        named: OneOrList,
        excluded: OneOrList,
        layers: Option<Vec<usize>>,
        patterns: Vec<String>,
    ) -> Result<Self> {
        Ok(Self { named: named.targets()?, excluded: excluded.targets()?, layers, patterns })
    }

    /// Whether a layer is selected; `is_head` marks the output layer, which "all-linear" leaves out.
    pub(crate) fn hold(&self, layer: &str, is_head: bool) -> bool {
        if self.excluded.iter().any(|target| target.hits(layer, is_head)) {
            return false;
        }
        self.named.iter().any(|target| match target {
            Target::Name(name) if name == layer => true,
            Target::Regex(_) => target.hits(layer, is_head),
            _ => target.hits(layer, is_head) && self.is_in_layers(layer),
        })
    }

    fn is_in_layers(&self, layer: &str) -> bool {
        match &self.layers {
            None => true,
            Some(wanted) => block_of(layer, &self.patterns).is_some_and(|at| wanted.contains(&at)),
        }
    }
}

impl Target {
    fn named(text: &str) -> Self {
        if text == ALL_LINEAR { Self::AllLinear } else { Self::Name(text.to_owned()) }
    }

    fn hits(&self, layer: &str, is_head: bool) -> bool {
        match self {
            Self::AllLinear => !is_head,
            Self::Name(name) => matches(name, layer),
            // An expression that exceeds its step limit matches nothing.
            Self::Regex(regex) => regex.is_match(layer).unwrap_or(false),
        }
    }
}

/// `target_modules` and `exclude_modules` as PEFT writes them.
#[derive(Debug, Default, Clone)]
pub(crate) enum OneOrList {
    #[default]
    Nothing,
    One(String),
    List(Vec<String>),
}

impl OneOrList {
    /// All of them.
    pub(crate) fn list(self) -> Vec<String> {
        match self {
            Self::Nothing => Vec::new(),
            Self::One(text) => vec![text],
            Self::List(names) => names,
        }
    }

    fn targets(self) -> Result<Vec<Target>> {
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::One(text) if text == ALL_LINEAR => Ok(vec![Target::AllLinear]),
            Self::One(text) => Ok(vec![regex(&text)?]),
            Self::List(names) => Ok(names.into_iter().map(Target::Name).collect()),
        }
    }
}

/// The number of the block in a name: 3 for "model.layers.3.mlp.up_proj". It is the last number after one of
/// `patterns`, if there are any, with something before that.
fn block_of(layer: &str, patterns: &[String]) -> Option<usize> {
    let parts: Vec<&str> = layer.split('.').collect();
    (2..parts.len().saturating_sub(1)).rev().find_map(|at| {
        let fits = patterns.is_empty() || patterns.iter().any(|pattern| pattern == parts[at - 1]);
        parts[at].parse().ok().filter(|_| fits)
    })
}

/// Whether an entry has a character that no name of a layer has.
pub(crate) fn is_expression(text: &str) -> bool {
    text.contains(['*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '\\', '^', '$'])
}

/// Python's `re.fullmatch`.
fn regex(text: &str) -> Result<Target> {
    Regex::new(&format!(r"\A(?:{text})\z")).map(Target::Regex).map_err(|e| {
        Error::mistake(format!("target_modules: '{text}' is not a regular expression: {e}"))
            .with_hint("a list names layers by the ends of their names: [\"q_proj\", \"v_proj\"]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q: &str = "model.layers.10.self_attn.q_proj";

    fn list(names: &[&str]) -> OneOrList {
        OneOrList::List(names.iter().map(ToString::to_string).collect())
    }

    fn peft(named: OneOrList, excluded: OneOrList, layers: Option<Vec<usize>>, patterns: &[&str]) -> Targets {
        Targets::of_peft(named, excluded, layers, patterns.iter().map(ToString::to_string).collect()).unwrap()
    }

    /// The expected results are those of `check_target_module_exists` in peft 0.21.2.
    #[test]
    fn layers_are_chosen_as_peft_chooses_them() {
        let none = || OneOrList::Nothing;
        let one = |text: &str| OneOrList::One(text.into());
        assert!(peft(list(&["q_proj"]), none(), None, &[]).hold(Q, false));
        assert!(!peft(list(&["proj"]), none(), None, &[]).hold(Q, false));
        assert!(peft(list(&[Q]), none(), Some(vec![0]), &[]).hold(Q, false), "a whole name is asked for no block");
        assert!(!peft(list(&["q_proj"]), none(), Some(vec![0, 1]), &[]).hold(Q, false));
        assert!(peft(list(&["q_proj"]), none(), Some(vec![10]), &["layers"]).hold(Q, false));
        assert!(!peft(list(&["q_proj"]), none(), Some(vec![10]), &["h"]).hold(Q, false));
        assert!(peft(list(&["lm_head"]), none(), Some(vec![0]), &[]).hold("lm_head", true), "nor does the head");
        assert!(!peft(one("q_proj"), none(), None, &[]).hold(Q, false), "a text is matched whole");
        assert!(peft(one(r".*\.1\d\.self_attn\.(q|v)_proj"), none(), None, &[]).hold(Q, false));
        assert!(!peft(one(r".*(?<!layers\.10)\.self_attn\..*"), none(), None, &[]).hold(Q, false));
        assert!(!peft(list(&["q_proj"]), list(&["self_attn.q_proj"]), None, &[]).hold(Q, false));
        assert!(!peft(one("all-linear"), none(), None, &[]).hold("lm_head", true));
        assert!(peft(one("all-linear"), one(".*k_proj"), None, &[]).hold(Q, false));
    }

    #[test]
    fn a_configuration_takes_names_and_expressions() {
        let of = |targets: &[&str], layers: Option<Vec<usize>>| {
            let target_modules = targets.iter().map(ToString::to_string).collect();
            Targets::of(&LoraConfig { target_modules, layers_to_transform: layers, ..LoraConfig::default() })
        };
        let hold = |targets: &[&str]| of(targets, None).unwrap().hold(Q, false);
        assert!(hold(&["layers.10.self_attn.q_proj"]) && hold(&["all-linear"]) && hold(&[r".*\.q_proj", "x"]));
        assert!(!hold(&["layers.1.self_attn.q_proj"]));
        assert!(!of(&["all-linear"], Some(vec![1])).unwrap().hold(Q, false));
        assert!(of(&["(q"], None).is_err_and(|e| e.message().contains("'(q'") && e.hint().is_some()));
    }
}
