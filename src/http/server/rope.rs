//! Bytes in several parts, written as one. Parts that are shared are not copied.

use std::collections::VecDeque;

use hyper::body::{Buf, Bytes};

/// Parts in order, none of them empty.
#[derive(Debug, Default)]
pub struct Rope {
    parts: VecDeque<Bytes>,
    len: usize,
}

impl Rope {
    /// How long all of it is, in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is left of it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a part at its end.
    pub fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.len += part.len();
            self.parts.push_back(part);
        }
    }

    /// Takes whole parts off its front: as many as `bytes` needs, or all.
    pub fn split_front(&mut self, bytes: usize) -> Rope {
        let mut taken = Rope::default();
        while taken.len < bytes {
            let Some(part) = self.parts.pop_front() else { break };
            self.len -= part.len();
            taken.push(part);
        }
        taken
    }
}

impl From<Bytes> for Rope {
    fn from(part: Bytes) -> Rope {
        let mut rope = Rope::default();
        rope.push(part);
        rope
    }
}

impl Buf for Rope {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len, "beyond the end");
        self.len -= count;
        while count > 0 {
            let Some(part) = self.parts.front_mut() else { return };
            if part.len() > count {
                part.advance(count);
                return;
            }
            count -= part.len();
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_as_one_and_taken_whole() {
        let mut rope = Rope::default();
        for part in ["ab", "", "cde", "f"] {
            rope.push(Bytes::from_static(part.as_bytes()));
        }
        assert_eq!((rope.len(), rope.remaining()), (6, 6));
        let mut front = rope.split_front(3);
        assert_eq!((front.len(), rope.len()), (5, 1));
        front.advance(3);
        assert_eq!((front.chunk(), front.remaining()), (&b"de"[..], 2));
        front.advance(2);
        assert!(front.is_empty() && front.chunk().is_empty());
        assert_eq!(rope.split_front(100).chunk(), b"f");
        assert!(rope.is_empty());
    }
}
