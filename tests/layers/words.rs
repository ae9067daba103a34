//! Rust's text as words: what stands in comments is left out, a text is one word with its opening quote.

/// The words of a file: names, `::`, texts, and every other sign by itself.
pub fn words(text: &str) -> Vec<String> {
    words_with_lines(text).into_iter().map(|(word, _)| word).collect()
}

/// The same, each with the number of its line.
pub fn words_with_lines(text: &str) -> Vec<(String, usize)> {
    let mut words = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => {
                let length = text_bytes(rest);
                words.push((rest[..length - 1].to_owned(), line));
                length
            }
            '\'' => quoted_bytes(rest),
            first if first.is_alphanumeric() || first == '_' => {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(length);
                match raw_bytes(word, behind) {
                    Some(raw) => {
                        words.push(("\"".to_owned(), line));
                        length + raw
                    }
                    None => {
                        words.push((word.to_owned(), line));
                        length
                    }
                }
            }
            _ if rest.starts_with("::") => {
                words.push(("::".to_owned(), line));
                2
            }
            first => {
                if !first.is_whitespace() {
                    words.push((first.to_string(), line));
                }
                first.len_utf8()
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    words
}

/// The bytes of a text that begins here, with both its quotes.
fn text_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// The bytes of a character or a lifetime that begins here.
fn quoted_bytes(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => text[3..].find('\'').map_or(text.len(), |end| 3 + end + 1),
        (_, Some((at, '\''))) => at + 1,
        // A lifetime's name is no name of anything.
        _ => 1 + text[1..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len() - 1),
    }
}

/// The bytes behind `r`, `b` or both, where they open a text without escapes.
fn raw_bytes(word: &str, behind: &str) -> Option<usize> {
    if !matches!(word, "r" | "br" | "cr") {
        return None;
    }
    let hashes = behind.bytes().take_while(|byte| *byte == b'#').count();
    let inner = behind[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    inner.find(&end).map(|at| hashes + 1 + at + end.len())
}

/// Without the items that are for the tests alone.
pub fn without_tests(words: &[String]) -> Vec<String> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < words.len() {
        if words[at..].iter().zip(TEST).filter(|(word, test)| word == test).count() == TEST.len() {
            at = end_of_item(words, at + TEST.len());
        } else {
            kept.push(words[at].clone());
            at += 1;
        }
    }
    kept
}

/// Where the item that begins here ends: behind its block, or its semicolon or comma.
fn end_of_item(words: &[String], from: usize) -> usize {
    let mut depth = 0_i32;
    for (at, word) in words.iter().enumerate().skip(from) {
        match word.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth -= 1;
                if depth == 0 && word == "}" {
                    return at + 1;
                }
                if depth < 0 {
                    return at;
                }
            }
            ";" | "," if depth == 0 => return at + 1,
            _ => {}
        }
    }
    words.len()
}
