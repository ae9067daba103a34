//! Returns freed memory to the system after a burst; the allocator would keep it.
//!
//! Not to be called while a request waits.
#![allow(unsafe_code)]

/// Returns all free whole pages. Takes about as long as a few system calls.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) takes the allocator's own locks and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
