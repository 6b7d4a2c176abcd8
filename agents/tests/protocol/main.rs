//! The negotiation as a whole: planner, segment agents, escrow and checker over a small made-up program.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod escrow;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod pricing;
#[cfg(test)]
mod program;
#[cfg(test)]
mod rounds;
#[cfg(test)]
mod runs;
