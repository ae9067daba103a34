//! JSON in which no object has a field twice: of two values one would be taken, and which is anybody's guess.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Fields that were given twice, by their paths.
pub type Repeated = RefCell<Vec<String>>;

/// Reads one value of a body, and what is given twice in it.
///
/// # Errors
/// What is not JSON.
pub fn value<'de, R: serde_json::de::Read<'de>>(
    json: &mut serde_json::Deserializer<R>,
    repeated: &Repeated,
) -> Result<Value, serde_json::Error> {
    Unique { at: At::Top, repeated }.deserialize(json)
}

/// Where a value stands, spelled out only where that has to be told.
enum At<'a> {
    Top,
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Top => Ok(()),
            At::Field(At::Top, field) => out.write_str(field),
            At::Field(of, field) => write!(out, "{of}.{field}"),
            At::Item(of, nth) => write!(out, "{of}[{nth}]"),
        }
    }
}

struct Unique<'a> {
    at: At<'a>,
    repeated: &'a Repeated,
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values: Vec<Value> = Vec::new();
        loop {
            let at = At::Item(&self.at, values.len());
            match items.next_element_seed(Unique { at, repeated: self.repeated })? {
                Some(value) => values.push(value),
                None => break,
            }
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(field) = fields.next_key::<String>()? {
            let at = At::Field(&self.at, &field);
            if object.contains_key(&field) {
                self.repeated.borrow_mut().push(at.to_string());
            }
            let value = fields.next_value_seed(Unique { at, repeated: self.repeated })?;
            object.insert(field, value);
        }
        Ok(object.into())
    }
}
