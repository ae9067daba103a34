//! Cursors as clients send them, and what a reader's bookmark makes of frames: a cursor, then a frame a line.
//!
//! A cursor that is read and printed is read as the same. A bookmark never goes back, hears no event twice, and passes over
//! none of one run unless a gap says so; what it resumes by can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runabout::scope::Cursor;
use runabout::wire::{Bookmark, Heard};
use runabout_fuzz::bounded;

fn printed(cursor: &Cursor) -> String {
    match cursor {
        Cursor::After(position) => position.to_string(),
        Cursor::Latest => "latest".to_owned(),
        Cursor::Newest(count) => format!("-{count}"),
        Cursor::Of(instance, position) => format!("{instance}-{position}"),
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default();
    if let Some(cursor) = Cursor::parse(first) {
        assert_eq!(Cursor::parse(&printed(&cursor)), Some(cursor.clone()));
        let (Cursor::After(position) | Cursor::Of(_, position)) = cursor else { return follow(data, first, lines) };
        assert!(position.0 >= 0, "{first:?} is before the start");
    }
    follow(data, first, lines);
});

fn follow<'a>(data: &[u8], first: &str, lines: impl Iterator<Item = &'a str>) {
    bounded(data, 64 * 1_024, 64, || {
        let mut one = Bookmark::new(first);
        let mut others = [Bookmark::of_several(first), Bookmark::filtered(first)];
        for line in lines {
            let before = one.has_begun().then(|| one.seen());
            if let Ok(heard) = one.hear(line) {
                judge(before, &heard, &one);
            }
            for other in &mut others {
                let before = other.seen();
                let heard = other.hear(line);
                assert!(other.seen() >= before || before == 0, "a bookmark went back");
                if let Ok(Heard::Event(event)) = heard {
                    assert!(event.gone.is_none_or(|(from, to)| from <= to), "{event:?}");
                }
            }
        }
        let cursor = one.cursor();
        if let Some((instance, seen)) = cursor.rsplit_once('-') {
            let is_ours = instance.len() == 12 && instance.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if is_ours && one.has_begun() && instance.to_lowercase() == instance && one.seen() < 10_i64.pow(18) {
                assert!(matches!(Cursor::parse(&cursor), Some(Cursor::Of(..))) || seen.is_empty(), "{cursor:?}");
            }
        }
    });
}

/// Of one run each event is the next.
fn judge(before: Option<i64>, heard: &Heard, bookmark: &Bookmark) {
    let Some(before) = before else { return };
    match heard {
        Heard::Event(event) => {
            assert_eq!(event.seq.0, bookmark.seen());
            assert!(before == 0 || bookmark.seen() == before + 1, "event {} came after {before}", event.seq);
        }
        Heard::Gap(_) => assert!(bookmark.seen() >= before || before == 0),
        _ => assert!(bookmark.seen() == before || before == 0),
    }
}
