//! Why an exchange was refused, in words for an operator: the difference, the setting that decides
//! it, Azure's name for both.
//!
//! ```text
//!   Error ──> Refusal ──┬─ Difference ──> Setting ──> "set dh_group = ..."
//!                       └─ RefusalReason ──> the number in Azure's IKE diagnostic log
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | [`refusal`] | [`refusal::Refusal`]: who refused which step and why, and what would mend it |
//! | [`difference`] | [`difference::Difference`]: the first transform in which two offers differ |
//! | [`setting`] | [`setting::Setting`]: the settings that a refusal can name |
//! | [`azure_names`] | Azure's names for algorithms, and its default proposals |

pub mod azure_names;
pub mod difference;
pub mod refusal;
pub mod setting;
