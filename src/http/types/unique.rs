//! JSON in which no object has a field twice: of two values one would be taken, and which is anybody's guess.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::http::error::VIOLATIONS_MAX;

/// Bytes of a path that are told. A field of a megabyte may hold a hundred thousand others that come twice.
const PATH_BYTES_MAX: usize = 1_024;

/// Fields that were given twice, by their paths: as many as are told of one body, whatever is in it.
#[derive(Default)]
pub struct Repeated {
    paths: RefCell<Vec<String>>,
    noted: Cell<usize>,
}

impl Repeated {
    fn note(&self, at: &At<'_>) {
        if self.noted.get() < VIOLATIONS_MAX {
            self.noted.set(self.noted.get() + 1);
            self.paths.borrow_mut().push(shortened(at));
        }
    }

    /// Those that were found since the last call.
    pub fn take(&self) -> Vec<String> {
        self.paths.take()
    }
}

/// A path, or its beginning.
fn shortened(at: &At<'_>) -> String {
    let mut path = Shortened(String::new());
    // It refuses what no longer fits.
    if write!(path, "{at}").is_err() {
        path.0.push('…');
    }
    path.0
}

/// Takes the beginning of what is written.
struct Shortened(String);

impl fmt::Write for Shortened {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = PATH_BYTES_MAX - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.0.push_str(&text[..end]);
        Err(fmt::Error)
    }
}

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
                self.repeated.note(&at);
            }
            let value = fields.next_value_seed(Unique { at, repeated: self.repeated })?;
            object.insert(field, value);
        }
        Ok(object.into())
    }
}
