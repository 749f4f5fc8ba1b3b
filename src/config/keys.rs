//! Deserialises maps into option structs, with errors that name the nearest key.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::reader::Reader;
use crate::error::Result;

/// Fills an option struct (`#[serde(default, deny_unknown_fields)]`) from a map; `what` names it ("sampler").
///
/// # Errors
/// An unknown key is refused with the nearest known one; a value of the wrong type is named with its key. An integer
/// is taken where a float is wanted, and a float without fraction where an integer is.
pub fn from_map<T: DeserializeOwned>(what: &str, map: Value) -> Result<T> {
    // null means no options.
    let map = if map.is_null() { Value::Object(Map::new()) } else { map };
    T::deserialize(Reader(map)).map_err(|fault| fault.explain(what))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::error::Error;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sampler {
        temperature: f64,
        top_k: Option<usize>,
        seed: u64,
        shift: i32,
        names: Vec<String>,
        betas: (f64, f64),
        shape: Shape,
        inner: Inner,
        nested: Option<Inner>,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        transpose: usize,
        tempo: Vec<f64>,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Shape {
        #[default]
        Cosine,
        Linear,
        Step(u32),
    }

    impl Default for Sampler {
        fn default() -> Self {
            let (names, nested, top_k) = (Vec::new(), None, None);
            let (shape, inner) = (Shape::Cosine, Inner::default());
            Self { temperature: 1.0, top_k, seed: 0, shift: 0, names, betas: (0.9, 0.999), shape, inner, nested }
        }
    }

    fn refused(map: Value) -> Error {
        from_map::<Sampler>("sampler", map).expect_err("it should be refused")
    }

    #[test]
    fn what_is_written_is_read() {
        let options = Sampler {
            temperature: 0.5,
            top_k: Some(3),
            names: vec!["a".into()],
            shape: Shape::Step(4),
            nested: Some(Inner { transpose: 2, tempo: vec![0.5] }),
            ..Sampler::default()
        };
        let map = serde_json::to_value(&options).expect("plain data");
        assert_eq!(from_map::<Sampler>("sampler", map).expect("its own"), options);
        assert_eq!(from_map::<Sampler>("sampler", Value::Null).expect("none"), Sampler::default());
    }

    #[test]
    fn whole_numbers_and_floats_serve_for_each_other() {
        let map = json!({ "temperature": 1, "top_k": 40.0, "seed": 7.0, "shift": -3.0, "betas": [0, 1],
                          "inner": { "transpose": 12.0, "tempo": [1, 0.9] } });
        let options: Sampler = from_map("sampler", map).expect("all of them are numbers");
        assert_eq!((options.temperature, options.top_k, options.seed, options.shift), (1.0, Some(40), 7, -3));
        assert_eq!((options.betas, options.inner.transpose), ((0.0, 1.0), 12));
        assert!(refused(json!({ "top_k": 4.5 })).message().contains("top_k"));
        assert!(refused(json!({ "seed": 1e300 })).message().contains("seed"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest() {
        let error = refused(json!({ "temprature": 0.9 }));
        assert_eq!(error.message(), "no option of sampler is called 'temprature'");
        assert!(error.hint().is_some_and(|h| h.starts_with("did you mean 'temperature'?")), "{error}");
        let error = refused(json!({ "inner": { "transpos": 3 } }));
        assert_eq!(error.message(), "no option of sampler.inner is called 'transpos'");
        assert!(error.hint().is_some_and(|h| h.contains("'transpose'") && !h.contains("seed")), "{error}");
        let error = refused(json!({ "shape": "cosin" }));
        assert_eq!(error.message(), "no value of sampler.shape is called 'cosin'");
        assert!(error.hint().is_some_and(|h| h.contains("'cosine'")), "{error}");
    }

    #[test]
    fn a_wrong_type_names_key_value_and_what_is_wanted() {
        for (map, message) in [
            (json!({ "temperature": "hot" }), "temperature of sampler must be a number, not \"hot\""),
            (json!({ "temperature": null }), "temperature of sampler must be a number, not nothing"),
            (json!({ "top_k": -1 }), "top_k of sampler must be a whole number, 0 or more, not -1"),
            (json!({ "seed": 0.5 }), "seed of sampler must be a whole number, 0 or more, not 0.5"),
            (json!({ "shift": true }), "shift of sampler must be a whole number, not true"),
            (
                json!({ "shift": 3_000_000_000_u32 }),
                "shift of sampler must be a whole number that fits, not 3000000000",
            ),
            (json!({ "names": "a" }), "names of sampler must be an array, not \"a\""),
            (json!({ "names": ["a", 2] }), "names[1] of sampler must be a text, not 2"),
            (json!({ "betas": [0.9] }), "betas of sampler must be an array of 2, not one of 1"),
            (json!({ "betas": [0.9, 0.9, 0.9] }), "betas of sampler must be an array of 2, not one of 3"),
            (json!({ "inner": 3 }), "inner of sampler must be a map, not 3"),
            (json!({ "inner": { "tempo": [1.0, "x"] } }), "inner.tempo[1] of sampler must be a number, not \"x\""),
            (json!({ "shape": 3 }), "shape of sampler must be a text, not 3"),
        ] {
            assert_eq!(refused(map).message(), message);
        }
        assert_eq!(refused(json!([1])).message(), "the options of sampler are a map, not an array");
    }

    #[test]
    fn long_values_are_shown_short() {
        let error = refused(json!({ "temperature": "x".repeat(5000) }));
        assert!(error.message().len() < 200, "{error}");
    }

    #[test]
    fn a_missing_key_is_named() {
        #[derive(Debug, Deserialize)]
        struct Strict {
            #[allow(dead_code)]
            size: usize,
        }
        let error = from_map::<Strict>("model", json!({})).expect_err("it has no size");
        assert_eq!(error.message(), "model needs the option 'size'");
    }
}
