//! What the targets share: how much memory an input takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts bytes.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn more(bytes: usize) {
    MOST.fetch_max(HELD.fetch_add(bytes, Ordering::Relaxed) + bytes, Ordering::Relaxed);
}

// SAFETY: all of it is the system's allocator; beside it two numbers change.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        more(bytes);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

/// Does something with an input, and fails where that takes more memory at a time than `fixed` bytes and so many `times` the
/// input. Only for what happens on this thread alone.
pub fn bounded<T>(input: &[u8], fixed: usize, times: usize, does: impl FnOnce() -> T) -> T {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let done = does();
    let took = MOST.load(Ordering::Relaxed).saturating_sub(before);
    let most = fixed + times * input.len();
    assert!(took <= most, "{} bytes took {took} bytes of memory, of at most {most}", input.len());
    done
}
