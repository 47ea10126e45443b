//! ralloc
