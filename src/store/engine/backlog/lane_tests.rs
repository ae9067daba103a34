//! The cutter: whatever the reads and the commits are, the pieces are the command's bytes.

use super::*;
use crate::text::json_string;

const RUN: RunId = RunId(1);

/// A small generator, so that a failure can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

fn take(lane: &mut Lane, which: Which) -> Vec<Piece> {
    let mut out = Vec::new();
    lane.take(RUN, which, usize::MAX, &mut out);
    out
}

fn texts(pieces: &[Piece]) -> Vec<(Stream, &str)> {
    pieces.iter().map(|piece| (piece.stream, std::str::from_utf8(&piece.bytes).expect("utf-8"))).collect()
}

fn lane_of(pushes: &[(Stream, &[u8])]) -> Lane {
    let mut lane = Lane::default();
    for (stream, bytes) in pushes {
        lane.push(*stream, bytes, Instant::now());
    }
    lane
}

use Stream::{Stderr, Stdout};

#[test]
fn joined_pieces_are_the_bytes_exactly() {
    let alphabet = ["a", "\n", "é", "€", "🦀", "some words", "a line\n"];
    let dear = ["\0", "\u{1b}[K", "\u{85}", "\u{2028}", "\u{7f}", "\"", "\u{1}\n"];
    for seed in 1..400_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let is_text = seed % 2 == 0;
        let mut sent = [Vec::new(), Vec::new()];
        let mut got = [Vec::new(), Vec::new()];
        let mut lane = Lane::default();
        let source = |dice: &mut Dice| -> Vec<u8> {
            let mut bytes = Vec::new();
            for _ in 0..dice.below(9_000) {
                match is_text {
                    true if seed % 8 == 6 => bytes.extend_from_slice(dear[dice.below(7)].as_bytes()),
                    true => bytes
                        .extend_from_slice(alphabet[dice.below(if seed % 4 == 0 { 1 } else { 7 }) * 3 % 7].as_bytes()),
                    false => bytes.push(dice.below(256) as u8),
                }
            }
            bytes
        };
        let mut rest = [source(&mut dice), source(&mut dice)];
        let mut held = Vec::new();
        let collect = |lane: &mut Lane, pieces: Vec<Piece>, got: &mut [Vec<u8>; 2]| {
            for piece in pieces {
                assert!(!piece.bytes.is_empty() && piece.bytes.len() <= OUTPUT_BYTES_MAX);
                match std::str::from_utf8(&piece.bytes) {
                    Ok(text) => assert!(json_string(text).len() <= OUTPUT_JSON_BYTES_MAX + 2, "seed {seed}"),
                    Err(_) => assert!(!is_text, "seed {seed} split a character"),
                }
                lane.settled(&piece);
                got[piece.stream as usize].extend_from_slice(&piece.bytes);
            }
        };
        while rest.iter().any(|bytes| !bytes.is_empty()) {
            let which = dice.below(2);
            let stream = [Stdout, Stderr][which];
            let size = [1, 5, 700, 70_000][dice.below(4)];
            let read: Vec<u8> = rest[which].drain(..(1 + dice.below(size)).min(rest[which].len())).collect();
            sent[which].extend_from_slice(&read);
            lane.push(stream, &read, Instant::now());
            match dice.below(6) {
                0 => {
                    let mut out = Vec::new();
                    lane.take(RUN, Which::Ready(Instant::now()), 1 + dice.below(40_000), &mut out);
                    held = out;
                    if dice.below(2) == 0 {
                        held.drain(..).rev().for_each(|piece| lane.put_back(piece));
                    }
                    collect(&mut lane, std::mem::take(&mut held), &mut got);
                }
                1 => {
                    let pieces = take(&mut lane, Which::Ready(Instant::now() + LINE_HOLD));
                    collect(&mut lane, pieces, &mut got);
                    assert!(lane.waiting() <= 6 && lane.ready() == 0, "only half characters may stay");
                }
                _ => {}
            }
        }
        let pieces = take(&mut lane, Which::All);
        collect(&mut lane, pieces, &mut got);
        assert!(got == sent, "seed {seed}");
        assert_eq!((lane.waiting(), lane.in_flight(), lane.ready()), (0, 0, 0), "seed {seed}");
        assert!(held.is_empty());
    }
}

#[test]
fn lines_that_wait_together_are_one_piece() {
    let mut lane = lane_of(&[(Stdout, b"one\n"), (Stdout, b"two\nthr"), (Stdout, b"ee\nfo")]);
    let pieces = take(&mut lane, Which::Ready(Instant::now()));
    assert_eq!(texts(&pieces), [(Stdout, "one\ntwo\nthree\n")]);
    assert_eq!(lane.ready(), 0);
    assert!(take(&mut lane, Which::Ready(Instant::now())).is_empty());
    assert_eq!(texts(&take(&mut lane, Which::Ready(Instant::now() + LINE_HOLD))), [(Stdout, "fo")]);
}

#[test]
fn a_switch_lets_the_other_stream_go_in_the_order_read() {
    let mut lane = lane_of(&[(Stdout, b"a"), (Stderr, b"b\n"), (Stdout, b"c\n"), (Stderr, b"d")]);
    let pieces = take(&mut lane, Which::Ready(Instant::now()));
    assert_eq!(texts(&pieces), [(Stdout, "a"), (Stderr, "b\n"), (Stdout, "c\n")]);
}

#[test]
fn half_a_character_waits_for_its_rest_or_the_end() {
    let late = Instant::now() + LINE_HOLD * 2;
    let mut lane = lane_of(&[(Stdout, b"x\xe2\x82"), (Stderr, b"e\n")]);
    assert_eq!(texts(&take(&mut lane, Which::Ready(late))), [(Stdout, "x"), (Stderr, "e\n")]);
    assert_eq!((lane.waiting(), lane.ripe_at(late)), (2, None));
    lane.push(Stdout, b"\xac\n", Instant::now());
    assert_eq!(texts(&take(&mut lane, Which::Ready(late))), [(Stdout, "€\n")]);
    lane.push(Stdout, b"\xf0\x9f", Instant::now());
    lane.end_of_stream(Stdout, Instant::now());
    assert!(lane.ready() > 0);
    assert_eq!(take(&mut lane, Which::Ready(Instant::now()))[0].bytes, b"\xf0\x9f");
}

#[test]
fn what_is_not_utf8_is_not_held() {
    for bytes in [&b"\xff"[..], b"a\xc0", b"\x80\x80", b"\xe2\x28", b"\xf8\x88"] {
        let mut lane = lane_of(&[(Stdout, bytes)]);
        let pieces = take(&mut lane, Which::Ready(Instant::now() + LINE_HOLD * 2));
        assert_eq!(pieces[0].bytes, bytes);
    }
}

#[test]
fn a_long_line_goes_in_full_pieces_at_once() {
    let line = vec![b'x'; 1024 * 1024];
    let mut lane = Lane::default();
    let mut pieces = Vec::new();
    for read in line.chunks(60_000) {
        lane.push(Stdout, read, Instant::now());
        pieces.extend(take(&mut lane, Which::Ready(Instant::now())));
    }
    lane.push(Stdout, b"\n", Instant::now());
    pieces.extend(take(&mut lane, Which::Ready(Instant::now())));
    assert_eq!(pieces.len(), 65);
    assert!(pieces[..64].iter().all(|piece| piece.bytes.len() == OUTPUT_BYTES_MAX));
}

#[test]
fn a_full_piece_ends_after_its_last_newline() {
    let mut text = vec![b'a'; 10_000];
    text.push(b'\n');
    text.extend(vec![b'b'; 10_000]);
    text.push(b'\n');
    let mut lane = lane_of(&[(Stdout, &text)]);
    let sizes: Vec<usize> =
        take(&mut lane, Which::Ready(Instant::now())).iter().map(|piece| piece.bytes.len()).collect();
    assert_eq!(sizes, [10_001, 10_001]);
}

#[test]
fn what_takes_six_bytes_in_json_goes_in_shorter_pieces() {
    let sizes = |text: &[u8]| -> Vec<usize> {
        let pieces = take(&mut lane_of(&[(Stdout, text)]), Which::All);
        let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
        assert!(joined == text);
        pieces.iter().map(|piece| piece.bytes.len()).collect()
    };
    let fits = OUTPUT_JSON_BYTES_MAX / 6;
    assert_eq!(sizes(&[0; 3 * OUTPUT_BYTES_MAX]), [fits, fits, fits, fits, 3 * OUTPUT_BYTES_MAX - 4 * fits]);
    // After a newline where there is one, else between characters.
    let lines = [&[0; 9_000][..], b"\n", &[0; 9_000], b"\n"].concat();
    assert_eq!(sizes(&lines), [9_001, 9_001]);
    let characters = ["\0".repeat(fits - 1), "é".repeat(9)].concat();
    assert_eq!(sizes(characters.as_bytes()), [fits + 7, 10], "eight bytes of JSON were left for four of two bytes");
}

#[test]
fn one_byte_switches_fill_the_window_by_what_they_cost() {
    let mut lane = Lane::default();
    for _ in 0..1_000 {
        lane.push(Stdout, b"o", Instant::now());
        lane.push(Stderr, b"e", Instant::now());
    }
    assert_eq!(lane.in_flight(), 2_000 * (1 + SWITCH_COST_BYTES));
}
