//! What a burst took goes back to the system: the allocator keeps it otherwise.
//!
//! Never called where somebody waits.
#![allow(unsafe_code)]

/// Gives free memory back, all of it that is whole pages. Costs about as long as a few system calls.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) takes the allocator's own locks and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
