//! The stable codes of mistakes in a bundle, each with its page (`largesse explain POL0031`).
//!
//! A code's meaning never changes and its number is never reused; new ones are added at the end of their block.

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($variant:ident $name:literal $title:literal $page:literal)*) => {
        /// What is wrong with a bundle.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $title] $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The stable name, e.g. `POL0031`.
            pub fn name(self) -> &'static str { match self { $(Code::$variant => $name,)* } }

            /// One line of what it is.
            pub fn title(self) -> &'static str { match self { $(Code::$variant => $title,)* } }

            /// What it means and how to repair it.
            pub fn page(self) -> &'static str { match self { $(Code::$variant => $page,)* } }
        }
    };
}

codes! {
    MissingFile "POL0001" "a file of the bundle is missing"
        "A bundle is a folder with program.toml, segments.toml, catalog.toml, moments.toml, guardrails.toml and experiments.toml. Each must exist, so that nobody wonders whether a missing file means \"no guardrails\"."
    UnknownFile "POL0002" "the folder holds a TOML file that is not part of a bundle"
        "A misspelt file name would otherwise be ignored in silence. Rename it, or move it out of the folder. Tests belong in tests/."
    Syntax "POL0003" "the file is not valid TOML"
        "The place is where reading stopped making sense; the cause may be just before it: an open quote, a missing bracket, a key given twice."
    UnknownKey "POL0004" "a key is not known here"
        "Keys that are not understood are refused, because a misspelt guardrail would otherwise not guard. The help lists the keys that are known at this place."
    MissingKey "POL0005" "a required key is missing"
        "Nothing that changes what members are promised has a silent default."
    WrongShape "POL0006" "a value has the wrong type"
        "Money, shares and conditions are written as text (\"12.50\", \"5 %\"), counts and days as whole numbers, lists in square brackets."
    TooLarge "POL0007" "a file, list or text is longer than allowed"
        "Bundles are bounded so that the work of a decision is bounded. The message says the limit."
    Unreadable "POL0008" "a file or stored bundle cannot be read"
        "The operating system's answer is in the message; files must be UTF-8 text, and stored bundles must be exactly the bytes that were stored."
    BadCase "POL0009" "a test of the bundle cannot be run"
        "A case names an event, the facts of a member, and what the policy must say. Facts are those of the reference page, without their family; reasons are those of `largesse explain`. Money and ratios are texts."
    BadMoney "POL0010" "a text is not an amount of money"
        "Write a plain decimal of the program's currency as text, without sign, symbol or separator: \"1200.00\". At most six decimals."
    BadShare "POL0011" "a text is not a share"
        "Write a percentage as text: \"5 %\", \"0.25 %\". It must lie between 0 % and 100 % and have at most four decimals."
    BadZone "POL0012" "a time zone is not known"
        "Use an IANA name such as America/New_York or Europe/Berlin."
    OutOfRange "POL0013" "a number is outside its range"
        "The message names the range and the help says why it exists."
    BadId "POL0014" "an id is not well formed"
        "Ids are 1 to 40 lower-case letters, digits and hyphens, starting with a letter. They appear in subjects, records and screens, and never change once used."
    DuplicateId "POL0015" "an id is used twice"
        "Records name rules by id; two of the same name could not be told apart."
    UnknownReference "POL0016" "a name refers to nothing"
        "It must be the id of a segment or reward of this bundle, or a word from the list the help shows."
    BadCurrency "POL0017" "a currency code is not well formed"
        "Use the three capital letters of ISO 4217: USD, EUR."
    Empty "POL0018" "something that must not be empty is empty"
        "An empty list or text here would mean that a reward, moment or rule can never do anything, or that nobody could later say why it did."
    ControlCharacter "POL0019" "a text holds a control character"
        "A newline, a tab or another character without a shape would break lines of output and let one text pass for two. Write it in one line of visible characters."
    LeadsOut "POL0020" "a file is a link that leads out of the bundle's folder"
        "What lies elsewhere is not part of what was handed over, and its text would show in messages. Copy the file into the folder. Links to files inside the folder are followed."
    UnreadTests "POL0021" "a folder in tests/ holds tests that nobody runs"
        "Tests are the TOML files that lie in tests/ itself. Those in folders below it would be taken for run; move them up."
    ExprSyntax "POL0030" "a condition cannot be read"
        "Conditions are CEL expressions, for example: member.churn_60d > 0.4 && event.amount >= 25.00. Write them in TOML literal strings ('''...''') so that quotes inside need no escapes."
    UnknownFact "POL0031" "a condition reads a fact that does not exist"
        "Facts are declared once, with type and meaning; the reference page lists them all. The help shows the closest names."
    KindMismatch "POL0032" "two sides of an operation are of different kinds"
        "Money is compared with money (25.00), ratios with ratios (0.6), counts with whole numbers (3), words with words (\"purchase\"). Adding days to money means nothing, so it is refused."
    UnknownWord "POL0033" "a text is not one of the words of this fact"
        "The fact has a closed list of words; a misspelt one would make the condition false for ever."
    NotInLanguage "POL0034" "this part of CEL is not part of the condition language"
        "Allowed are && || !, comparisons, + - *, in [..], ? :, parentheses, facts and literals. Functions, macros, lists with names, maps, indexing, division and null are not: each would let a condition fail or take unbounded time while a member waits."
    NotACondition "POL0035" "an expression is not a yes or no"
        "A condition must be true or false. Compare the number with something."
    InexactNumber "POL0036" "a number cannot be held exactly"
        "Money and ratios are kept in millionths, so at most six decimals; exponents and unsigned suffixes are not used."
    TooComplex "POL0037" "a condition is too large or too deep"
        "Every condition has a bound on its depth, its length and its cost, so that a decision has a bound on its time. The cost is what it takes at worst: a step for every fact, literal and operator, eight for a share of an amount; of the two sides of ? : the dearer counts. Split it: the conditions of a list must all hold, and each then explains itself."
    FactNotHere "POL0038" "a fact is not available at this place"
        "reward.* facts exist only where one reward is considered: in the catalog's eligibility and in guardrail rules."
    NoFacts "POL0039" "a condition reads no fact"
        "It would be the same for everybody and at all times. If that is what you want, leave the condition out."
    SegmentBudget "POL0050" "a segment's budget is larger than the program's"
        "The program's limit is hard, so the surplus could never be spent and reports would promise it."
    NeverAffordable "POL0051" "a reward could never be promised"
        "Its face cost is larger than a budget it must come from, or it has no units."
    ConsentMissing "POL0052" "something needs a consent that the guardrails do not ask for"
        "Choosing a reward for a member is personalised marketing, and valuing it uses scores, which is profiling. [consent] in guardrails.toml must list every purpose that is used (invariant E-3)."
    UnboundedGrants "POL0053" "frequency caps leave too many promises to remember"
        "Exact sliding windows need every promise of the longest window. Add or tighten a member cap so that at most 64 promises can fall into it."
    AlwaysQuiet "POL0054" "quiet hours cover no time or the whole day"
        "from and to are hours 0 to 23; from is quiet, to is not. The same hour twice is ambiguous."
    NeverTogether "POL0055" "a reward cannot be handed out where its moment happens"
        "The moment's touchpoints and the reward's touchpoints have none in common, so the pair would be listed and never used."
    Unused "POL0056" "a reward competes in no moment"
        "List it under rewards of a moment in moments.toml, or take it out of the catalog."
    FloorTooHigh "POL0057" "more promises are owed than the budget can pay"
        "A floor counts promises owed to a segment in each period. At the cheapest reward's face cost they must fit the segment's budget, and all floors together the program's."
    MarginTooHigh "POL0058" "the least margin leaves nothing for a reward"
        "Of a purchase, gross is what is earned and min is what has to be left; the difference bounds the reward's face cost. It must be above zero."
    IdleWording "POL0059" "a wording could never be read"
        "The words stand beside promises that rest on provisional facts; a moment that denies those makes none."
    Conflict "POL0070" "a guardrail refuses what the bundle offers, always"
        "A moment lists a reward, and in every situation in which the moment happens and the reward is eligible a guardrail refuses it. The finding names the rules on both sides and shows a member who is refused. Narrow the guardrail, or take out what it always refuses."
    NeverEligible "POL0071" "a reward can never be eligible"
        "The conditions under eligible contradict each other, the reward's own kind or cost, or the moment that lists it. No member can meet them all."
    DeadRule "POL0072" "a rule can never act"
        "A rule acts when all its conditions hold, and these never hold together. Look for bounds that exclude each other, and for || where && was written."
    UnreachableSegment "POL0073" "no member can belong to a segment"
        "All conditions of a segment must hold, and these never hold together."
    ShadowedSegment "POL0074" "earlier segments leave a segment without members"
        "A member belongs to the first segment whose conditions all hold. Everybody this one describes belongs to an earlier one: move it further up, or make it describe others."
    DeadMoment "POL0075" "a moment can never happen"
        "All conditions of a moment must hold for an event with its trigger, and these never do."
    ShadowedMoment "POL0076" "earlier moments leave a moment without events"
        "An event is the first moment that it starts and whose conditions all hold. Every event of this one is an earlier moment: move it further up, or give the earlier one a condition."
    FavouredAndDenied "POL0077" "a reward is favoured and denied for the same members"
        "A segment's lever raises the value of a reward, and a rule denies that reward to every member of the segment, so the lever can never take effect. A rule that denies it to some of them is no contradiction."
    DuplicateRule "POL0078" "two rules say the same"
        "Both apply in exactly the same situations. Of two the second never decides anything, and whoever changes one of them will be surprised by the other."
    AlwaysHolds "POL0079" "a condition always holds"
        "Every member and event meets it, so it says nothing: probably another fact or value was meant."
    RuleWithoutReward "POL0080" "no reward of the catalog meets a rule"
        "The rule asks for a kind or cost that no reward has, so it never acts. That may be wanted, when it waits for a reward to come."
    UnusedBudget "POL0081" "part of the budget can never be spent"
        "Every segment has a limit of its own and together they are less than the program's."
    TwoExclusive "POL0082" "two exclusive rewards can be open to the same member at once"
        "Where an exclusive reward is open, nothing else competes; of two, neither can be promised. The example shows a member who may have both. Let their conditions exclude each other, or make one of them not exclusive."
    NotSearched "POL0083" "the search for contradictions did not end"
        "Whether a condition can ever hold is searched within a bound, so that a check takes no longer than a moment. At the parts that are named the bound was reached: what is said of them is true, but more may be wrong with them than is said, and a rule may be named beside another that would do alone. Comparing fewer facts with each other, or calculating with fewer of them, brings the search to its end."
    OutsideSegments "POL0084" "nobody in a segment can have a reward"
        "Nothing is promised to a member whom no segment describes, and nothing that costs more than the segment's ceiling. Everybody who meets the conditions that are named is such a member. Describe them in a segment (a last one without conditions takes everybody), raise a ceiling, or take the reward out."
}

/// How bad a mistake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The bundle does what it says; somebody should look.
    Warning,
    /// The bundle cannot be used, or cannot mean what it says.
    Error,
}

impl Severity {
    /// As reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl Code {
    /// The code with this name.
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        let harmless = [
            Code::DuplicateRule,
            Code::AlwaysHolds,
            Code::RuleWithoutReward,
            Code::UnusedBudget,
            Code::NotSearched,
        ];
        if harmless.contains(&self) { Severity::Warning } else { Severity::Error }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The page of a code, by its name; `None` when no such code exists.
pub fn explain(code: &str) -> Option<&'static str> {
    Code::from_name(code).map(Code::page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_name_and_a_page() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.name()), Some(*code), "{code} names two codes");
            assert!(!code.title().is_empty() && code.page().len() > 40, "{code} has no page");
        }
        assert_eq!(explain("POL9999"), None);
    }
}
