//! How a run is ended: by which signal first, and what becomes of what it leaves behind.

use crate::words::words;

words! {
    /// The signal that asks a command to end, before SIGKILL.
    #[derive(Default)]
    StopSignal {
        /// SIGTERM.
        #[default]
        Term = "TERM",
        /// SIGINT, as by Ctrl-C.
        Int = "INT",
        /// SIGHUP.
        Hup = "HUP",
        /// SIGQUIT, by which many programs leave a core.
        Quit = "QUIT",
        /// SIGUSR1.
        Usr1 = "USR1",
        /// SIGUSR2.
        Usr2 = "USR2",
    }
}

impl StopSignal {
    /// Whether it is the usual one.
    pub fn is_usual(&self) -> bool {
        *self == StopSignal::Term
    }
}

words! {
    /// What becomes of processes of a run that its leader leaves behind.
    #[derive(Default)]
    Left {
        /// They stay after an ordinary end. Where the end was asked for, what left the session stays too, unless a cgroup
        /// holds it.
        #[default]
        Leave = "leave",
        /// They are ended with the run, however it ends.
        Kill = "kill",
    }
}

impl Left {
    /// Whether it is the usual one.
    pub fn is_usual(&self) -> bool {
        *self == Left::Leave
    }
}
