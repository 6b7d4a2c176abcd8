//! The independent checker of certificates: integers only, and no code shared with the planner.
