//! Draws that are functions of their inputs, so a decision can be recomputed.

/// One step of splitmix64 (Steele, Lea, Flood 2014), a bijective mixer of 64 bits.
pub fn splitmix64(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What a draw is for; two purposes never share a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum DrawPurpose {
    /// Is the member in the universal control group?
    Holdout = 1,
    /// Is this event in the exploration share?
    Explore = 2,
    /// Which experiment variant is the member in?
    Variant = 3,
}

/// A uniform draw of 64 bits that depends only on its inputs.
pub fn draw64(seed: u64, member: u128, event: u64, purpose: DrawPurpose) -> u64 {
    let mut state = splitmix64(seed ^ (purpose as u64).rotate_left(56));
    for word in [(member >> 64) as u64, member as u64, event] {
        state = splitmix64(state ^ word);
    }
    state
}

/// The same draw in 0..1,000,000, for shares in parts per million.
pub fn draw_ppm(seed: u64, member: u128, event: u64, purpose: DrawPurpose) -> u32 {
    // Multiply-shift keeps the bias below 2^-44, invisible at a resolution of one in a million.
    ((u128::from(draw64(seed, member, event, purpose)) * 1_000_000) >> 64) as u32
}
