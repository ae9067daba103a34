//! Bytes in several parts, written as one. Parts that are shared are not copied.

use std::collections::VecDeque;
use std::io::IoSlice;

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

    /// Takes so many bytes off its front, or all.
    pub fn split_front(&mut self, bytes: usize) -> Rope {
        let mut taken = Rope::default();
        while taken.len < bytes {
            let Some(part) = self.parts.front_mut() else { break };
            let fits = (bytes - taken.len).min(part.len());
            let front = part.split_to(fits);
            if part.is_empty() {
                self.parts.pop_front();
            }
            self.len -= fits;
            taken.push(front);
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

impl FromIterator<Bytes> for Rope {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Rope {
        let mut rope = Rope::default();
        parts.into_iter().for_each(|part| rope.push(part));
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

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = slices.iter_mut().zip(&self.parts);
        parts.map(|(slice, part)| *slice = IoSlice::new(part)).count()
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
    fn parts_are_read_as_one_and_cut_anywhere() {
        let mut rope = Rope::default();
        for part in ["ab", "", "cde", "f"] {
            rope.push(Bytes::from_static(part.as_bytes()));
        }
        assert_eq!((rope.len(), rope.remaining()), (6, 6));
        let mut front = rope.split_front(4);
        assert_eq!((front.len(), rope.len()), (4, 2));
        let mut slices = [IoSlice::new(&[]); 3];
        assert_eq!(front.chunks_vectored(&mut slices), 2);
        assert_eq!((&*slices[0], &*slices[1]), (&b"ab"[..], &b"cd"[..]));
        front.advance(3);
        assert_eq!((front.chunk(), front.remaining()), (&b"d"[..], 1));
        front.advance(1);
        assert!(front.is_empty() && front.chunk().is_empty());
        let mut rest = rope.split_front(100);
        assert_eq!((rest.chunk(), rest.len()), (&b"e"[..], 2));
        rest.advance(1);
        assert_eq!(rest.chunk(), b"f");
        assert!(rope.is_empty());
    }
}
