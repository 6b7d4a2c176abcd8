//! What may be promised: bundles, conditions, evaluation.
