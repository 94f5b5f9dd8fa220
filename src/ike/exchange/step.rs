//! The steps of the protocol: each exchange by its purpose, its two halves, and the two ends.
//!
//! An exchange type alone does not say what an exchange is for: CREATE_CHILD_SA makes a child SA,
//! rekeys one, or rekeys the IKE SA, and the same error means something different in each (RFC 7296
//! §1.3, §2.21).

use std::fmt;

use crate::wire::codes::ExchangeType;

/// One exchange, by its purpose.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// IKE_SA_INIT: suites, keys, cookies. Nothing in it is authenticated.
    Init,
    /// IKE_AUTH: both ends authenticate, and the first child SA is made.
    Auth,
    /// CREATE_CHILD_SA for a further child SA.
    NewChild,
    /// CREATE_CHILD_SA with N(REKEY_SA): the rekey of a child SA.
    RekeyChild,
    /// CREATE_CHILD_SA with an IKE proposal: the rekey of the IKE SA.
    RekeyIke,
    /// INFORMATIONAL: probes, Deletes, notifies.
    Inform,
}

impl Step {
    /// All steps, in the order of a connection's life.
    #[cfg(test)]
    pub(crate) const ALL: [Step; 6] =
        [Step::Init, Step::Auth, Step::NewChild, Step::RekeyChild, Step::RekeyIke, Step::Inform];

    /// The exchange type that carries this step.
    pub fn exchange(self) -> ExchangeType {
        match self {
            Step::Init => ExchangeType::IkeSaInit,
            Step::Auth => ExchangeType::IkeAuth,
            Step::NewChild | Step::RekeyChild | Step::RekeyIke => ExchangeType::CreateChildSa,
            Step::Inform => ExchangeType::Informational,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Init => "IKE_SA_INIT",
            Step::Auth => "IKE_AUTH",
            Step::NewChild => "CREATE_CHILD_SA (new child)",
            Step::RekeyChild => "CREATE_CHILD_SA (child rekey)",
            Step::RekeyIke => "CREATE_CHILD_SA (IKE rekey)",
            Step::Inform => "INFORMATIONAL",
        })
    }
}

/// The two halves of an exchange.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MessageHalf {
    /// The message of the end that began the exchange.
    Request,
    /// The message that answers the request.
    Response,
}

/// The two ends of an IKE SA.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Party {
    /// This end.
    We,
    /// The remote gateway.
    Peer,
}

impl Party {
    /// The other end.
    pub fn other(self) -> Party {
        match self {
            Party::We => Party::Peer,
            Party::Peer => Party::We,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Party::We => "we",
            Party::Peer => "the peer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_names_the_exchange_that_carries_it() {
        for step in Step::ALL {
            assert!(step.to_string().starts_with(&step.exchange().to_string()), "{step}");
        }
    }

    #[test]
    fn the_other_of_the_other_is_the_same() {
        assert_eq!(Party::We.other(), Party::Peer);
        assert_eq!(Party::We.other().other(), Party::We);
    }
}
