//! Makes what the binary serves of the web page: one script of all its modules, one style sheet, and the files that these
//! name. Each is compressed here, once, and has the hash of its text in its name, so that a browser never asks for it
//! again; only `index.html`, which names them, and what others know by its name keep theirs.
//!
//! In the sources a file is named as `/page/NAME`, wherever it is; that is replaced by what it is called.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::modules;

/// What lies in the page's folder and is none of the page's files.
const OTHERS: &[&str] = &["mod.rs", "package.json"];

/// What is loaded only where it is needed: served file by file, as it came but for [`CHANGED`].
const LATER: &str = "vendor/xterm";

/// What such a file says, and what it is served as. The page's policy lets nobody make a `<style>` or set `style` by its text;
/// a sheet that is adopted, and styles by their properties, are allowed. The build fails where one of these is not found.
const CHANGED: &[(&str, &str, usize)] = &[
    ("this._document.createElement(\"style\")", "adoptedStyle(this._document)", 2),
    ("n.mainDocument.createElement(\"style\")", "adoptedStyle(n.mainDocument)", 1),
    ("t.setAttribute(\"style\",`${t.getAttribute(\"style\")||\"\"}${e};`)", "(t.style.cssText+=e+\";\")", 1),
];

/// What takes the place of a `<style>`: an element that shows nothing, whose text becomes that of an adopted sheet.
const ADOPTED_STYLE: &str = "const adoptedStyle = document => {
  const sheet = new CSSStyleSheet(), place = document.createElement('template');
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(place, 'textContent', {set: text => sheet.replaceSync(text)});
  place.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter(other => other !== sheet);
    Element.prototype.remove.call(place);
  };
  return place;
};
";

/// A file that is served, before it is compressed.
struct Made {
    path: String,
    content_type: &'static str,
    bytes: Vec<u8>,
    is_hashed: bool,
}

/// Writes `FILES`, the page's files, to `page.rs` in the directory for what is built, with the files beside it.
pub fn make(source: &Path, out: &Path) {
    println!("cargo:rerun-if-changed={}", source.display());
    let files = made(source).unwrap_or_else(|what| panic!("the web page: {what}"));
    let mut list = String::from("/// All of it.\npub const FILES: &[File] = &[\n");
    for (nth, file) in files.iter().enumerate() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let packed = encoder.write_all(&file.bytes).and_then(|()| encoder.finish()).expect("memory takes everything");
        // A picture is compressed already.
        let is_packed = packed.len() < file.bytes.len() / 10 * 9;
        let at = out.join(format!("page.{nth}"));
        std::fs::write(&at, if is_packed { &packed } else { &file.bytes })
            .expect("the target directory can be written");
        let Made { path, content_type, bytes, is_hashed } = file;
        writeln!(
            list,
            "    File {{ path: {path:?}, content_type: {content_type:?}, tag: {:?}, bytes: include_bytes!({at:?}), \
             is_packed: {is_packed}, length: {}, is_hashed: {is_hashed} }},",
            hash(bytes),
            bytes.len()
        )
        .expect("a String takes everything");
    }
    list.push_str("];\n");
    std::fs::write(out.join("page.rs"), list).expect("the target directory can be written");
}

/// The first 64 bits of SHA-256, in hexadecimal.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn made(source: &Path) -> Result<Vec<Made>, String> {
    let mut paths = Vec::new();
    walk(source, source, &mut paths)?;
    let read = |path: &Path| std::fs::read(source.join(path)).map_err(|error| format!("{}: {error}", path.display()));
    let text = |path: &Path| String::from_utf8(read(path)?).map_err(|_| format!("{} is no UTF-8", path.display()));
    let of =
        |kind: &str| paths.iter().filter(|path| path.extension().is_some_and(|ext| ext == kind)).collect::<Vec<_>>();
    let mut files = Vec::new();
    // What names others comes after them, so that it can name them as they are called.
    let is_named = |path: &&PathBuf| path.extension().is_some_and(|kind| ["svg", "png"].iter().any(|one| kind == *one));
    for path in paths.iter().filter(is_named) {
        files.push(hashed(path, read(path)?)?);
    }
    for path in paths.iter().filter(|path| path.starts_with(LATER) && !path.ends_with("LICENSE")) {
        files.push(hashed(path, later(path, text(path)?)?.into_bytes())?);
    }
    for path in of("webmanifest") {
        files.push(hashed(path, named(&text(path)?, &files).into_bytes())?);
    }
    // Of two rules the later one wins: what all have in common first, what a window or paper needs otherwise last.
    let mut sheets = of("css");
    sheets.retain(|path| !path.starts_with(LATER));
    sheets.sort_by_key(|path| (path.ends_with("media.css"), !path.ends_with("style.css")));
    let mut styles = String::new();
    for path in sheets {
        styles.push_str(&text(path)?);
    }
    files.push(hashed(Path::new("style.css"), named(&without_comments(&styles), &files).into_bytes())?);
    let (script, linked) = modules::link(Path::new("app.js"), &text)?;
    if let Some(path) = of("js").into_iter().find(|path| !linked.contains(path) && !path.starts_with(LATER)) {
        return Err(format!("nothing imports {}", path.display()));
    }
    files.push(hashed(Path::new("app.js"), named(&script, &files).into_bytes())?);
    let html = named(&text(Path::new("index.html"))?, &files).into_bytes();
    files.insert(
        0,
        Made { path: "/".to_owned(), content_type: "text/html; charset=utf-8", bytes: html, is_hashed: false },
    );
    for path in paths.iter().filter(|path| path.ends_with("LICENSE")) {
        let path_there = format!("/page/{}", path.display());
        let bytes = read(path)?;
        files.push(Made { path: path_there, content_type: "text/plain; charset=utf-8", bytes, is_hashed: false });
    }
    Ok(files)
}

/// A file that is loaded later, as the page's policy lets it work.
fn later(path: &Path, mut text: String) -> Result<String, String> {
    if !path.ends_with("xterm.js") {
        return Ok(text);
    }
    for (from, to, count) in CHANGED {
        if text.matches(from).count() != *count {
            return Err(format!("{} does not say {from} {count} times", path.display()));
        }
        text = text.replace(from, to);
    }
    // The licence stays first.
    let head = text.find("*/").map_or(0, |at| at + 3);
    text.insert_str(head, ADOPTED_STYLE);
    Ok(text)
}

/// All files below, by their paths there, in order.
fn walk(root: &Path, folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), String> {
    let said = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(said)?.collect::<Result<Vec<_>, _>>().map_err(said)?;
    for path in entries.into_iter().map(|entry| entry.path()) {
        if path.is_dir() {
            walk(root, &path, paths)?;
            continue;
        }
        let below = path.strip_prefix(root).map_err(|error| error.to_string())?.to_owned();
        let kind = below.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        let is_known = content_type(kind).is_some() || kind == "html" || below.ends_with("LICENSE");
        match below.to_str() {
            Some(name) if OTHERS.contains(&name) => {}
            Some(_) if is_known => paths.push(below),
            _ => return Err(format!("{} is of no kind that is served", below.display())),
        }
    }
    paths.sort();
    Ok(())
}

fn content_type(kind: &str) -> Option<&'static str> {
    match kind {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "webmanifest" => Some("application/manifest+json"),
        _ => None,
    }
}

/// `icon.svg` as `/page/icon-HASH.svg`.
fn hashed(path: &Path, bytes: Vec<u8>) -> Result<Made, String> {
    let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
    let content_type = content_type(kind).ok_or_else(|| format!("{} is of no kind that is served", path.display()))?;
    let stem = path.with_extension("");
    Ok(Made { path: format!("/page/{}-{}.{kind}", stem.display(), hash(&bytes)), content_type, bytes, is_hashed: true })
}

/// A text in which the files are named as they are called.
fn named(text: &str, files: &[Made]) -> String {
    let mut text = text.to_owned();
    for file in files {
        let (stem, rest) = file.path.rsplit_once('-').expect("a hash in its name");
        let (_, kind) = rest.split_once('.').expect("a kind in its name");
        text = text.replace(&format!("{stem}.{kind}"), &file.path);
    }
    text
}

/// A style sheet without its comments.
fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    kept.extend(parts.map(|part| part.split_once("*/").map_or("", |(_, after)| after)));
    kept
}
