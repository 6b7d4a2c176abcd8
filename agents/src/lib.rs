//! The brains: member, segment, planner, global policy; negotiation protocol.
