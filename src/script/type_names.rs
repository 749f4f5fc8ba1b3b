//! Names of types, as scripts see them.

use std::borrow::Cow;

use rhai::Dynamic;

/// The type of a value, as scripts name it: "int", "string", "Score".
pub(crate) fn type_name(value: &Dynamic) -> Cow<'static, str> {
    if value.is_fnptr() {
        return "function".into();
    }
    plain_type(value.type_name()).to_string().into()
}

/// A type as scripts name it, from the name Rust or Rhai has for it.
pub(crate) fn plain_type(name: &str) -> &str {
    let name = name.trim();
    match name.strip_prefix("&mut ").unwrap_or(name) {
        "i64" | "INT" => "int",
        "f64" | "FLOAT" => "float",
        "&str" | "ImmutableString" | "String" | "alloc::string::String" => "string",
        "Dynamic" | "rhai::types::dynamic::Dynamic" | "?" => "any",
        "Array" => "array",
        "Map" => "map",
        "Fn" | "FnPtr" | "rhai::types::fn_ptr::FnPtr" => "function",
        "Failure" | "etude::script::failure::Failure" => "Error",
        path if path.contains("ImmutableString") => "string",
        path if path.contains("ops::range") => "range",
        path => path.rsplit("::").next().unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_names_of_the_language() {
        assert_eq!(type_name(&1_i64.into()), "int");
        assert_eq!(plain_type("etude::script::objects::score::Score"), "Score");
    }
}
