//! A deserialiser of maps that records the path to an error, and accepts integral floats as integers.

use std::convert::Infallible;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Number, Value, map};

use super::value_error::ValueError;

/// Deserialises one value.
#[derive(Debug)]
pub(super) struct Reader(pub(super) Value);

impl Reader {
    /// Deserialises an integer; `4.0` is 4.
    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match &self.0 {
            Value::Number(n) => match whole(n) {
                Some(n) if n >= 0 => visitor.visit_u64(n.unsigned_abs()),
                Some(n) => visitor.visit_i64(n),
                None => self.deserialize_any(visitor),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    /// The error for a value of another kind than `wanted`.
    fn refuse(self, wanted: &'static str) -> ValueError {
        match self.deserialize_any(Nothing(wanted)) {
            Ok(never) => match never {},
            Err(fault) => fault,
        }
    }

    fn array<'de, V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Value::Array(items) if items.len() != len => Err(ValueError::length(len, items.len())),
            other => Self(other).deserialize_any(visitor),
        }
    }
}

/// The integer that a float equals, if it is in the range in which floats are exact.
fn whole(n: &Number) -> Option<i64> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    let x = n.as_f64().filter(|_| n.is_f64())?;
    (x.fract() == 0.0 && x.abs() <= EXACT).then_some(x as i64)
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            self.integer(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(b),
            Value::Number(n) => match (n.as_u64(), n.as_i64(), n.as_f64()) {
                (Some(n), ..) => visitor.visit_u64(n),
                (_, Some(n), _) => visitor.visit_i64(n),
                (.., Some(x)) => visitor.visit_f64(x),
                _ => Err(ValueError::custom(format!("{n} is too large"))),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(ListReader { rest: items.into_iter().enumerate() }),
            Value::Object(map) => visitor.visit_map(Entries { rest: map.into_iter(), value: None }),
        }
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, ValueError> {
        self.array(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.array(len, visitor)
    }

    /// Only a map is a struct; serde would also accept an array of the fields in order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        if self.0.is_object() { self.deserialize_any(visitor) } else { Err(self.refuse("a map")) }
    }

    /// `"name"`, or `{"name": content}`.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let choice = match self.0 {
            Value::String(name) => EnumReader { name, content: None },
            Value::Object(map) if map.len() == 1 => one(map).ok_or_else(|| ValueError::custom("an empty map"))?,
            other => return Err(Self(other).refuse("a string")),
        };
        visitor.visit_enum(choice)
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq map identifier ignored_any
    }
}

fn one(map: Map<String, Value>) -> Option<EnumReader> {
    map.into_iter().next().map(|(name, content)| EnumReader { name, content: Some(content) })
}

/// A visitor that accepts nothing, for its error messages.
struct Nothing(&'static str);

impl Visitor<'_> for Nothing {
    type Value = Infallible;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

struct ListReader {
    rest: std::iter::Enumerate<std::vec::IntoIter<Value>>,
}

impl<'de> SeqAccess<'de> for ListReader {
    type Error = ValueError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ValueError> {
        let Some((index, item)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Reader(item)).map(Some).map_err(|fault| fault.at(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Entries {
    rest: map::IntoIter,
    value: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = ValueError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ValueError> {
        self.value = self.rest.next();
        let Some((key, _)) = &self.value else { return Ok(None) };
        let key: StrDeserializer<'_, ValueError> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ValueError> {
        let Some((key, value)) = self.value.take() else {
            return Err(ValueError::custom("a value was asked for before its key"));
        };
        seed.deserialize(Reader(value)).map_err(|fault| fault.under(key))
    }
}

struct EnumReader {
    name: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for EnumReader {
    type Error = ValueError;
    type Variant = VariantContent;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, VariantContent), ValueError> {
        let name: StrDeserializer<'_, ValueError> = self.name.as_str().into_deserializer();
        Ok((seed.deserialize(name)?, VariantContent(self.content)))
    }
}

struct VariantContent(Option<Value>);

impl<'de> VariantAccess<'de> for VariantContent {
    type Error = ValueError;

    fn unit_variant(self) -> Result<(), ValueError> {
        match self.0 {
            None | Some(Value::Null) => Ok(()),
            Some(_) => Err(ValueError::invalid_type(Unexpected::Map, &"a string")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, ValueError> {
        seed.deserialize(Reader(self.0.unwrap_or(Value::Null)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, ValueError> {
        Reader(self.0.unwrap_or(Value::Null)).array(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, ValueError> {
        Reader(self.0.unwrap_or(Value::Null)).deserialize_any(visitor)
    }
}
