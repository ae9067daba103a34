//! `/openapi.json` is OpenAPI 3.1, whole in itself, and of the same routes, roles, codes and words as the daemon.

use std::collections::{BTreeMap, BTreeSet};

use runabout::http::error::CODES;
use runabout::http::routes::{Needs, ROUTES};
use serde_json::{Value, json};

use crate::common::{Daemon, Reference, escaped, walk};

/// The reference as this daemon serves it.
pub fn reference(daemon: &Daemon) -> Reference {
    Reference::new(daemon.get("/openapi.json").expect(200).json())
}

/// The daemon's own table of routes, with the paths as the reference writes them: who may, by method and path.
fn table() -> BTreeMap<(String, String), &'static str> {
    let written = |path: &str| path.replace(":id", "{id}").replace(":name", "{name}").replace('*', "{file}");
    let role = |needs: Needs| match needs {
        Needs::Nothing => "",
        Needs::Role(role) | Needs::RoleOrRun(role) | Needs::RoleOrJob(role) => role.as_str(),
    };
    ROUTES.iter().map(|route| ((route.method.to_string(), written(route.path)), role(route.needs))).collect()
}

#[test]
fn it_is_served_to_everybody_and_kept_as_long_as_it_is_the_same() {
    let daemon = Daemon::start();
    let first = daemon.tcp().get("/openapi.json").expect(200);
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    assert_eq!(first.json()["info"]["version"], env!("CARGO_PKG_VERSION"));
    let etag = first.header("etag").unwrap();
    let again = |known: &str| daemon.tcp().call("GET", "/openapi.json").header("If-None-Match", known).send();
    for known in [etag, "*", &format!("\"x\", W/{etag}")] {
        let answer = again(known).expect(304);
        assert_eq!((answer.header("etag"), answer.body.len()), (Some(etag), 0), "{known}");
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
    }
    assert_eq!(again("\"x\"").expect(200).body, first.body);
    let head = daemon.tcp().call("HEAD", "/openapi.json").send().expect(200);
    assert_eq!(head.header("content-length"), Some(first.body.len().to_string().as_str()));
    daemon.tcp().get("/openapi.json?x=1").expect_problem(422, "invalid");
    daemon.tcp().call("POST", "/openapi.json").send().expect(401);
}

#[test]
fn it_is_whole_in_itself() {
    let daemon = Daemon::start();
    let reference = reference(&daemon);
    let document = &reference.document;
    assert_eq!(document["openapi"], "3.1.0");
    let mut used = BTreeSet::new();
    walk(document, &mut |value| {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            let pointer = target.strip_prefix('#').unwrap_or_else(|| panic!("{target} leads out of the document"));
            assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
            used.insert(target.to_owned());
        }
    });
    for (kind, components) in document["components"].as_object().unwrap() {
        for name in components.as_object().unwrap().keys().filter(|_| kind != "securitySchemes") {
            let is_for_people = ["MethodNotAllowed", "StreamObject", "AllStreamObject"].contains(&name.as_str());
            assert!(is_for_people || used.contains(&format!("#/components/{kind}/{name}")), "{kind}/{name} is unused");
        }
    }
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut names = BTreeSet::new();
    for (method, path, pointer) in reference.operations() {
        let operation = document.pointer(&pointer).unwrap();
        assert!(names.insert(operation["operationId"].as_str().unwrap()), "{method} {path}: a name that there is");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
        assert!(operation["tags"].as_array().unwrap().iter().all(|tag| tags.contains(&tag)), "{method} {path}");
        let parameters = reference.parameters(&pointer);
        let in_path =
            parameters.iter().filter(|(_, one)| one["in"] == "path").map(|(_, one)| one["name"].as_str().unwrap());
        let mut in_template = path.split('/').filter_map(|step| step.strip_prefix('{')?.strip_suffix('}'));
        assert!(in_path.eq(in_template.by_ref()), "{method} {path}: its parameters are others");
        let mut known = BTreeSet::new();
        for (_, parameter) in &parameters {
            assert!(
                known.insert((parameter["in"].as_str(), parameter["name"].as_str())),
                "{method} {path}: {parameter}"
            );
        }
        assert!(reference.statuses(&pointer).iter().all(|status| status.parse::<u16>().is_ok()), "{method} {path}");
    }
}

#[test]
fn every_example_is_what_it_is_an_example_of() {
    let daemon = Daemon::start();
    let reference = reference(&daemon);
    let mut count = 0;
    examples(&reference, "", &reference.document, &mut count);
    assert!(count > 40, "{count} examples");
}

/// Judges what stands as an example beside or in a schema, here and below.
fn examples(reference: &Reference, pointer: &str, value: &Value, count: &mut usize) {
    let mut judge = |schema: &str, example: &Value| {
        *count += 1;
        reference.describes(schema, example).unwrap_or_else(|error| panic!("the example at {pointer}: {error}"));
    };
    if value.get("schema").is_some() {
        let schema = format!("{pointer}/schema");
        value.get("example").into_iter().for_each(|example| judge(&schema, example));
        let named = value.get("examples").and_then(Value::as_object).into_iter().flatten();
        named.for_each(|(_, example)| judge(&schema, &example["value"]));
    }
    value.get("examples").and_then(Value::as_array).into_iter().flatten().for_each(|example| judge(pointer, example));
    // A property may be called so, too.
    let default = value.get("default").filter(|_| !pointer.ends_with("/properties"));
    default.into_iter().for_each(|default| judge(pointer, default));
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            let schemas =
                fields.iter().filter(|(name, _)| !["example", "examples", "default"].contains(&name.as_str()));
            schemas.map(|(name, inner)| (escaped(name), inner)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(nth, inner)| (nth.to_string(), inner)).collect(),
        _ => Vec::new(),
    };
    inner.into_iter().for_each(|(step, inner)| examples(reference, &format!("{pointer}/{step}"), inner, count));
}

#[test]
fn it_has_the_daemons_routes_and_roles() {
    let daemon = Daemon::start();
    let reference = reference(&daemon);
    let table = table();
    let documented: BTreeMap<(String, String), String> = reference
        .operations()
        .into_iter()
        .map(|(method, path, pointer)| {
            let operation = reference.document.pointer(&pointer).unwrap();
            let security = operation.get("security").unwrap_or(&reference.document["security"]);
            let role = security[0]["bearer"][0].as_str().unwrap_or_default();
            let both = if role.is_empty() { json!([]) } else { json!([{ "bearer": [role] }, { "cookie": [role] }]) };
            assert_eq!(security, &both, "{method} {path}");
            ((method, path), role.to_owned())
        })
        .collect();
    let served: BTreeMap<_, _> = table.into_iter().map(|(route, role)| (route, role.to_owned())).collect();
    assert_eq!(documented, served, "left the reference, right the routes");

    // And the daemon says the same of itself.
    for path in reference.document["paths"].as_object().unwrap().keys() {
        let concrete = path.replace("{id}", "1").replace("{name}", "default").replace("{file}", "app.js");
        let answer = daemon.call("OPTIONS", &concrete).send();
        answer.clone().expect_problem(405, "method_not_allowed");
        let allow: BTreeSet<&str> = answer.header("allow").unwrap().split(", ").collect();
        let of_path = documented.keys().filter(|(_, of)| of == path).map(|(method, _)| method.as_str());
        let mut wanted: BTreeSet<&str> = of_path.collect();
        if wanted.contains("GET") {
            wanted.insert("HEAD");
        }
        assert_eq!(allow, wanted, "{path}");
        reference
            .describes(
                "/components/responses/MethodNotAllowed/content/application~1problem+json/schema",
                &answer.json(),
            )
            .unwrap();
    }
}

#[test]
fn it_has_the_daemons_codes() {
    let daemon = Daemon::start();
    let reference = reference(&daemon);
    let codes: BTreeMap<String, BTreeSet<u16>> =
        CODES.iter().map(|(code, status)| ((*code).to_owned(), BTreeSet::from([*status]))).collect();
    assert_eq!(reference.codes(), codes, "left the reference's answers, right src/http/error.rs");
    let all = &reference.document["components"]["schemas"]["Problem"]["properties"]["code"]["anyOf"][0]["enum"];
    let all: BTreeSet<String> = all.as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    assert_eq!(all, codes.into_keys().collect(), "left the enumeration of all codes");
}

#[test]
fn it_has_the_daemons_words() {
    let daemon = Daemon::start();
    let reference = reference(&daemon);
    let words = |pointer: &str| -> Vec<String> {
        let words = reference.document.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        words.as_array().unwrap().iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
    };
    let schema = |name: &str| words(&format!("/components/schemas/{name}/anyOf/0/enum"));
    fn own<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<String> {
        all.iter().map(|one| word(*one).to_owned()).collect()
    }
    use runabout::{access, event, run};
    assert_eq!(schema("Status"), own(run::Status::ALL, run::Status::as_str));
    assert_eq!(schema("Reason"), own(run::Reason::ALL, run::Reason::as_str));
    assert_eq!(schema("Role"), own(access::Role::ALL, access::Role::as_str));
    assert_eq!(schema("GapReason"), own(event::GapReason::ALL, event::GapReason::as_str));
    assert_eq!(schema("OutputStream"), own(event::Stream::ALL, event::Stream::as_str));
    let on_interrupt = words("/components/schemas/Run/properties/on_interrupt/anyOf/0/enum");
    assert_eq!(on_interrupt, own(run::OnInterrupt::ALL, run::OnInterrupt::as_str));
    let variants = reference.document["components"]["schemas"]["Event"]["anyOf"].as_array().unwrap();
    let kind = |variant: &Value| {
        let schema = reference.document.pointer(variant["$ref"].as_str().unwrap().strip_prefix('#').unwrap()).unwrap();
        schema["properties"]["kind"]["const"].as_str().map(str::to_owned)
    };
    let kinds: Vec<Option<String>> = variants.iter().map(kind).collect();
    let own_kinds = own(event::Kind::ALL, event::Kind::as_str);
    assert_eq!(kinds[..own_kinds.len()], own_kinds.iter().cloned().map(Some).collect::<Vec<_>>());
    assert_eq!(kinds[own_kinds.len()..], [None], "the last takes what there is later");
    // What is asked for is of those words and no other.
    let parameter = |path: &str, name: &str| {
        let all = reference.document["paths"][path]["get"]["parameters"].as_array().unwrap();
        let schema = &all.iter().find(|one| one["name"] == name).unwrap()["schema"];
        let words = schema["enum"].as_array().or(schema["items"]["enum"].as_array()).unwrap();
        words.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(parameter("/v1/runs", "status"), own(run::Status::ALL, run::Status::as_str));
    assert_eq!(parameter("/v1/events", "kinds"), own_kinds);
    assert_eq!(parameter("/v1/runs/{id}/log", "stream"), own(event::Stream::ALL, event::Stream::as_str));
    let role = words("/components/schemas/NewEnrollmentToken/properties/role/enum");
    assert_eq!(role, own(access::Role::ALL, access::Role::as_str));
}

/// What generators of clients stumble over, each seen with one of them.
#[test]
fn generators_can_read_it() {
    let daemon = Daemon::start();
    let reference = reference(&daemon);
    let schemas = &reference.document["components"]["schemas"];
    walk(&reference.document, &mut |value| {
        // Words without a type break a union that is told apart by them.
        for words in ["const", "enum"] {
            assert!(value.get(words).is_none_or(|_| value.get("type").is_some()), "without a type: {value}");
        }
        let is_array =
            value["type"] == "array" || value["type"].as_array().is_some_and(|all| all.contains(&"array".into()));
        assert!(!is_array || value.get("items").is_some(), "an array of what: {value}");
        // One generator makes an empty class of a reference with properties beside it.
        let beside =
            value.as_object().unwrap().keys().find(|key| !["$ref", "description", "summary"].contains(&key.as_str()));
        assert!(value.get("$ref").is_none() || beside.is_none(), "beside a reference: {value}");
        assert!(
            value.get("discriminator").is_none(),
            "what has a discriminator takes no kind that comes later: {value}"
        );
    });
    // A client sends a default that it finds behind a reference, also where the field is left out.
    for (name, schema) in schemas.as_object().unwrap() {
        assert!(schema.get("default").is_none(), "{name}");
    }
    for union in ["StreamObject", "AllStreamObject"] {
        let variants = schemas[union]["anyOf"].as_array().unwrap();
        assert!(variants.iter().all(|one| one["$ref"] != "#/components/schemas/Event"), "{union} lists events flat");
        assert_eq!(variants.last().unwrap()["$ref"], "#/components/schemas/OtherObject", "{union}");
    }
}
