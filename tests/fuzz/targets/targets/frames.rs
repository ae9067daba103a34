//! What keeper and daemon send each other: the first byte says how the others are cut.
//!
//! Frames are read alike however their bytes are cut; one that is read, written and read again is the same; no more is held
//! than was sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runabout::keep::frame::{Frame, Incoming};
use runabout_fuzz::bounded;

/// The frames of these pieces, as text, and whether what came behind them cannot be one.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, bool) {
    let (mut incoming, mut frames) = (Incoming::default(), Vec::new());
    for piece in pieces {
        incoming.add(piece);
        loop {
            match incoming.peek() {
                Ok(Some((bytes, frame))) => {
                    assert!(bytes >= 5, "a frame of {bytes} bytes");
                    written_and_read(&frame);
                    frames.push(format!("{frame:?}"));
                    incoming.take(bytes);
                }
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

fn written_and_read(frame: &Frame<'_>) {
    if matches!(frame, Frame::Unknown(_)) {
        return;
    }
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    let mut incoming = Incoming::default();
    incoming.add(&bytes);
    let (length, again) = incoming.peek().expect("ours").expect("whole");
    assert_eq!(length, bytes.len());
    assert_eq!(again, *frame);
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let whole = bounded(bytes, 64 * 1_024, 128, || read(std::iter::once(bytes)));
    let size = usize::from(cut % 23) + 1;
    assert_eq!(whole, read(bytes.chunks(size)), "in pieces of {size}");
    // Pieces of two sizes in turns, such as a head by itself.
    let (first, second) = bytes.split_at(bytes.len().min(usize::from(cut)));
    assert_eq!(whole, read([first, second].into_iter()), "cut after {cut}");
});
