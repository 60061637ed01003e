//! What was checked of who somebody is. It is checked outside the mind, which decides what follows from it.

/// A user, and how it was found out that it is that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// Whom it was found, or claimed, to be.
    pub user: String,
    /// By what, and whether it was right.
    pub how: Proof,
}

/// What was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A certificate names it.
    Certificate,
    /// A password was shown, and it is the user's.
    Password,
    /// A password was shown, and it is not the user's.
    WrongPassword,
}
