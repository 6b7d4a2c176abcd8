//! The closed list of what a ledger row can be about.

macro_rules! kinds {
    ($($number:literal $variant:ident $name:literal $text:literal)*) => {
        /// What a row is about. Numbers and names are stable: they are hashed into the tree.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind { $(#[doc = $text] $variant = $number,)* }

        impl Kind {
            /// Every kind, by number.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// The stable number written in rows.
            pub fn number(self) -> u8 { self as u8 }

            /// The kind with this number.
            pub fn from_number(number: u8) -> Option<Kind> {
                match number { $($number => Some(Kind::$variant),)* _ => None }
            }

            /// The stable name used in files, filters and screens.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }

            /// One line for people.
            pub fn text(self) -> &'static str {
                match self { $(Kind::$variant => $text,)* }
            }
        }
    };
}

kinds! {
    1 Genesis "genesis" "The first row: which ledger this is and which key signs its heads."
    2 Start "start" "A run of the node began, with its epoch and version."
    3 Bundle "bundle" "A policy bundle became active."
    4 Models "models" "A set of models became active."
    5 Budget "budget" "A budget was opened or its limit changed."
    10 Observed "observed" "An event that only updated facts."
    11 Decision "decision" "The outcome of a moment."
    12 DeadLetter "dead_letter" "An event that was refused, with field-level reasons."
    13 Outcome "outcome" "What became of a promise (fulfilled, redeemed, expired, reversed)."
    20 Certificate "certificate" "The result of a negotiation."
    21 PriceTable "price_table" "Prices the segments decide with."
    22 Grant "grant" "Escrow granted to a node before it may spend."
    23 Bid "bid" "A bid or veto of an external agent."
    24 Escalation "escalation" "A person was called: prices, plan or pace are out of the policy's bounds."
    30 Approval "approval" "A person approved or refused a promise."
    31 KillSwitch "kill_switch" "An operator stopped or resumed a program, segment or reward."
    40 Operation "operation" "Another action of an operator."
    41 Export "export" "Rows left the ledger."
    42 Unmasking "unmasking" "A pseudonym was resolved to a person."
    43 Erasure "erasure" "A member's key was destroyed."
    44 SignIn "sign_in" "A person signed in or was refused."
    45 Retention "retention" "Old sealed parts or bodies were pruned."
    46 KeyRotation "key_rotation" "The key that signs heads was replaced by another."
    47 ImpactReport "impact_report" "What a policy would have decided, as somebody assessed it."
    48 Hold "hold" "A legal hold was added or released: under it nothing is erased or pruned."
    49 Case "case" "A step of a case about decisions, as somebody signed it."
    50 Reading "reading" "Somebody was about to read personal data, and why."
    51 Tests "tests" "The tests of a bundle, as it was handed in with them."
    52 Upgrade "upgrade" "A ledger of an older format was brought to a newer one."
    53 People "people" "Who may do what, as people.toml said it when a request was judged."
}

impl Kind {
    /// Kinds of rows that retention may take parts out of; all others last, for they are obeyed at every start.
    pub const PASSING: [Kind; 4] = [Kind::Observed, Kind::Decision, Kind::DeadLetter, Kind::Certificate];

    /// Whether rows of this kind are obeyed at every start, and so never lose anything.
    pub fn is_lasting(self) -> bool {
        !Kind::PASSING.contains(&self)
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_identify_a_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind.number()), Some(*kind));
            assert_eq!(Kind::from_name(kind.name()), Some(*kind));
        }
        assert_eq!(Kind::from_number(0), None);
    }
}
