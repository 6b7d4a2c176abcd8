//! Codes of currencies, and which one was meant. What was a code stays one, so that what a ledger holds can be read for ever.

use crate::problem::closest;

/// ISO 4217, the codes of money that is or was in circulation; those of unions of countries begin with X.
const CODES: &str = "\
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC \
CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR \
ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK \
MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE \
SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER \
ZAR ZMW ZWG";

/// Names people write instead of codes.
const NAMES: [(&str, &str); 7] = [
    ("€", "EUR"),
    ("$", "USD"),
    ("£", "GBP"),
    ("DOLLAR", "USD"),
    ("DOLLARS", "USD"),
    ("POUND", "GBP"),
    ("YEN", "JPY"),
];

/// Whether a text is a code. Any with an X in front is: unions are founded more often than this list is written.
pub(super) fn is_code(text: &str) -> bool {
    let has_form = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    has_form && (text.starts_with('X') || CODES.split(' ').any(|code| code == text))
}

/// The code that was probably meant.
pub(super) fn meant(text: &str) -> Option<&'static str> {
    let text = text.trim().to_uppercase();
    let name = NAMES.iter().find(|(name, _)| *name == text).map(|(_, code)| *code);
    // What is longer holds some code by chance.
    let begins = || CODES.split(' ').find(|code| text.len() == 4 && text.starts_with(code));
    let near = || closest(&text, CODES.split(' ')).filter(|_| text.len() <= 4);
    name.or_else(begins).or_else(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_finds_its_code() {
        for (written, code) in
            [("EURO", "EUR"), ("eur", "EUR"), ("Euro", "EUR"), ("$", "USD"), ("USDD", "USD")]
        {
            assert_eq!(meant(written), Some(code), "{written}");
        }
        assert_eq!(meant("beads"), None);
    }

    #[test]
    fn every_code_has_its_form() {
        assert!(CODES.split(' ').all(is_code));
    }
}
