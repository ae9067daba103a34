//! The API's own reference, and whether what a daemon answers is what it says.
//!
//! Readers are told that answers may grow; here they may not: a field that no schema names is a fault.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use super::Response;

/// The document as it is written: for requests and examples.
const OPEN: &str = "mem:///open.json";
/// The same, where no object holds what its schema does not name: for answers.
const CLOSED: &str = "mem:///closed.json";
/// What a path item holds besides operations is no method.
pub const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The document, ready to judge by.
pub struct Reference {
    pub document: Value,
    compiler: RefCell<Compiler>,
    schemas: RefCell<Schemas>,
    compiled: RefCell<HashMap<String, SchemaIndex>>,
    /// Operation and status of every answer that was judged.
    pub seen: RefCell<BTreeSet<(String, String)>>,
}

impl Reference {
    /// Of a document that a daemon served.
    pub fn new(document: Value) -> Reference {
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        let mut closed = document.clone();
        close(&mut closed);
        compiler.add_resource(OPEN, document.clone()).unwrap();
        compiler.add_resource(CLOSED, closed).unwrap();
        Reference {
            document,
            compiler: RefCell::new(compiler),
            schemas: RefCell::default(),
            compiled: RefCell::default(),
            seen: RefCell::default(),
        }
    }

    /// What a pointer leads to, references followed; with the pointer of the end.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> Option<(String, &Value)> {
        let found = self.document.pointer(pointer)?;
        match found["$ref"].as_str() {
            Some(target) => self.at(target.strip_prefix('#').expect("a reference within the document")),
            None => Some((pointer.to_owned(), found)),
        }
    }

    /// Every operation: method in capitals, path, pointer.
    pub fn operations(&self) -> Vec<(String, String, String)> {
        let paths = self.document["paths"].as_object().unwrap();
        let of_path = |(path, item): (&String, &Value)| {
            let known = METHODS.into_iter().filter(|method| item.get(method).is_some());
            let pointer = |method: &str| format!("/paths/{}/{method}", escaped(path));
            known.map(|method| (method.to_uppercase(), path.clone(), pointer(method))).collect::<Vec<_>>()
        };
        paths.iter().flat_map(of_path).collect()
    }

    /// The parameters of an operation, the path's among them, by pointer.
    pub fn parameters(&self, operation: &str) -> Vec<(String, &Value)> {
        let path = operation.rsplit_once('/').unwrap().0;
        let of = |holder: &str| {
            let count =
                self.document.pointer(&format!("{holder}/parameters")).map_or(0, |all| all.as_array().unwrap().len());
            (0..count).map(|nth| self.at(&format!("{holder}/parameters/{nth}")).unwrap()).collect::<Vec<_>>()
        };
        [of(path), of(operation)].concat()
    }

    /// The statuses that an operation documents.
    pub fn statuses(&self, operation: &str) -> Vec<String> {
        let responses = self.document.pointer(&format!("{operation}/responses")).unwrap();
        responses.as_object().unwrap().keys().cloned().collect()
    }

    /// Whether a value is what the schema at the pointer allows in a request or an example.
    pub fn allows(&self, pointer: &str, value: &Value) -> Result<(), String> {
        self.judge(OPEN, pointer, value)
    }

    /// Whether a value is what the schema at the pointer says of an answer, and nothing besides.
    pub fn describes(&self, pointer: &str, value: &Value) -> Result<(), String> {
        self.judge(CLOSED, pointer, value)
    }

    fn judge(&self, document: &str, pointer: &str, value: &Value) -> Result<(), String> {
        let fragment = pointer.replace('{', "%7B").replace('}', "%7D");
        let location = format!("{document}#{fragment}");
        let mut schemas = self.schemas.borrow_mut();
        let mut compiled = self.compiled.borrow_mut();
        let index = match compiled.get(&location) {
            Some(index) => *index,
            None => {
                let index = self.compiler.borrow_mut().compile(&location, &mut schemas);
                let index = index.unwrap_or_else(|error| panic!("{location}: {error:#}"));
                compiled.insert(location, index);
                index
            }
        };
        schemas.validate(value, index).map_err(|error| format!("{error:#}\nin {value}"))
    }

    /// Fails unless the answer is one that the reference describes for this request.
    #[track_caller]
    pub fn check(&self, method: &str, path: &str, response: &Response) {
        let (template, operation) = self.operation_of(method, path);
        let what = format!("{method} {path} answered {} {:?} {}", response.status, response.headers, response.text());
        self.seen.borrow_mut().insert((format!("{method} {template}"), response.status.to_string()));
        let pointer = format!("{operation}/responses/{}", response.status);
        let (pointer, described) = self.at(&pointer).unwrap_or_else(|| panic!("no such status is documented: {what}"));
        for (name, header) in described["headers"].as_object().into_iter().flatten() {
            let at = format!("{pointer}/headers/{}", escaped(name));
            let (at, header) = if header.get("$ref").is_some() { self.at(&at).unwrap() } else { (at, header) };
            let Some(value) = response.header(name) else {
                assert_ne!(header["required"], true, "{name} is missing: {what}");
                continue;
            };
            let is_number = self.at(&format!("{at}/schema")).unwrap().1["type"] == "integer";
            let value = if is_number { json!(value.parse::<i64>().unwrap()) } else { json!(value) };
            self.describes(&format!("{at}/schema"), &value).unwrap_or_else(|error| panic!("{name}: {error}\n{what}"));
        }
        let Some(content) = described["content"].as_object() else {
            assert!(response.body.is_empty(), "a body that is not documented: {what}");
            return;
        };
        let full = response.header("content-type").unwrap_or_default();
        let media = full.split(';').next().unwrap();
        assert!(content.contains_key(media), "{full:?} is not documented: {what}");
        let value =
            if media.ends_with("/json") || media.ends_with("+json") { response.json() } else { json!(response.text()) };
        self.describes(&format!("{pointer}/content/{}/schema", escaped(media)), &value)
            .unwrap_or_else(|error| panic!("{error}\n{what}"));
        if media == "application/problem+json" {
            let codes = content[media]["x-codes"].as_array().unwrap();
            assert!(codes.contains(&value["code"]), "not a code of this answer: {what}");
            assert_eq!(value["status"], response.status, "{what}");
        }
    }

    /// The path's template and the operation's pointer.
    #[track_caller]
    fn operation_of(&self, method: &str, path: &str) -> (String, String) {
        let path = path.split('?').next().unwrap();
        let fits = |template: &str| {
            let (mut own, mut given) = (template.split('/'), path.split('/'));
            loop {
                match (own.next(), given.next()) {
                    (None, None) => return true,
                    (Some(own), Some(given)) if own == given || own.starts_with('{') && !given.is_empty() => {}
                    _ => return false,
                }
            }
        };
        let operations = self.operations();
        let mut fitting = operations.into_iter().filter(|(own, template, _)| own == method && fits(template));
        let (_, template, pointer) = fitting.next().unwrap_or_else(|| panic!("{method} {path} is not documented"));
        (template, pointer)
    }

    /// Every code that a problem may have, with its statuses.
    pub fn codes(&self) -> BTreeMap<String, BTreeSet<u16>> {
        let of_operations = self.operations().into_iter().flat_map(|(_, _, operation)| {
            let described = |status: String| (format!("{operation}/responses/{status}"), status.parse().unwrap());
            self.statuses(&operation).into_iter().map(described).collect::<Vec<_>>()
        });
        // What a path answers to methods that it has not is no answer of an operation.
        let every = of_operations.chain([("/components/responses/MethodNotAllowed".to_owned(), 405)]);
        let mut codes: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
        for (pointer, status) in every {
            let described = self.at(&pointer).unwrap().1;
            for code in described["content"]["application/problem+json"]["x-codes"].as_array().into_iter().flatten() {
                codes.entry(code.as_str().unwrap().to_owned()).or_default().insert(status);
            }
        }
        codes
    }
}

/// As a step of a JSON pointer.
pub fn escaped(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// Calls `look` with every object in `value`.
pub fn walk(value: &Value, look: &mut impl FnMut(&Value)) {
    if value.is_object() {
        look(value);
    }
    let inner: Vec<&Value> = match value {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    inner.into_iter().for_each(|value| walk(value, look));
}

/// Whether it stands in a union for what a later daemon says, which this one must not.
fn is_of_later(variant: &Value) -> bool {
    let target = variant["$ref"].as_str().unwrap_or_default();
    *variant == json!({"type": "string"}) || target.ends_with("/OtherEvent") || target.ends_with("/OtherObject")
}

/// Closes every object schema that names properties, unless it says itself what else there may be. One without a type is
/// only a part of another, whose fields it would refuse.
fn close(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Array(variants)) = fields.get_mut("anyOf") {
                variants.retain(|variant| !is_of_later(variant));
            }
            let is_whole = fields.get("type").is_some_and(|kind| kind == "object")
                && fields.get("properties").is_some_and(Value::is_object)
                && !fields.contains_key("additionalProperties");
            // What stands under these is data, and no schema.
            let schemas = fields.iter_mut().filter(|(name, _)| {
                !["example", "examples", "enum", "const", "default", "mapping"].contains(&name.as_str())
            });
            schemas.for_each(|(_, inner)| close(inner));
            if is_whole {
                fields.insert("unevaluatedProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
