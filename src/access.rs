//! Roles and tokens (to be merged).

use crate::run::words;

words! {
    /// What somebody may do.
    Role {
        /// Reads.
        Viewer = "viewer",
        /// Also submits, changes, cancels.
        Operator = "operator",
        /// Also makes tokens.
        Admin = "admin",
    }
}
