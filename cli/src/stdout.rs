//! Whether there was a standard output when the program began.
//!
//! Before `main`, the standard library opens `/dev/null` in place of a closed one, so that no file
//! gets its number. What is written then is lost without an error.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc::{F_GETFD, STDOUT_FILENO, fcntl};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// The system calls it before the standard library begins.
#[expect(unsafe_code, reason = "a list of functions that the system calls")]
#[cfg_attr(
    target_vendor = "apple",
    unsafe(link_section = "__DATA,__mod_init_func")
)]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
#[used]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    #[expect(unsafe_code, reason = "the standard library takes it for open")]
    // SAFETY: it reads flags of a descriptor, whether or not that is open.
    let flags = unsafe { fcntl(STDOUT_FILENO, F_GETFD) };
    WAS_CLOSED.store(flags == -1, Ordering::Relaxed);
}

pub(crate) fn was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}
