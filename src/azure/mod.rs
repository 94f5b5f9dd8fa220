//! Converts between Azure and the configuration: the output of `az network ... show` becomes a
//! configuration file, and a configuration becomes commands or templates for Azure. All functions
//! are pure: from text to text.
//!
//! ```text
//!   JSON of az, REST or a template ── json ──> resource ── import ──> draft ──> TOML with comments
//!
//!   Config, chain ──> side ── template ──> ARM, Bicep, Terraform
//!                      └─────────────────> az, PowerShell, the portal's fields
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | [`json`] | lenient reading of JSON from `az`, REST or ARM templates |
//! | [`resource`] | the properties of Azure's resources that s2sd needs |
//! | [`choices`] | what an operator adds to an import |
//! | [`import`](mod@import) | from resources to a configuration |
//! | `refusal` | why a connection cannot be imported |
//! | `draft` | the text of the configuration, with comments |
//! | [`note`] | what an import leaves to the operator |
//! | [`chain`] | the chain of our certificate in the form that Azure accepts |
//! | [`side`] | Azure's side of a configuration, in Azure's words |
//! | [`template`] | the resources of Azure's side as a tree |
//! | [`arm`], [`bicep`], [`terraform`] | the tree in three template languages |
//! | [`az`], [`powershell`] | Azure's side as commands |
//! | [`portal`] | Azure's side as fields of the portal |
//! | [`fault`] | an error with a hint |
//! | `quote` | quoting for six languages |
//!
//! "Local" has two meanings. In the configuration "local" is always this device. In Azure's traffic
//! selectors "local" is Azure, but Azure's "local network gateway" is this device. Certificates are
//! named as in Azure: *inbound* is the certificate that Azure receives, *outbound* the one that
//! Azure sends.

pub mod arm;
pub mod az;
pub mod bicep;
pub mod chain;
pub mod choices;
pub mod fault;
pub mod import;
pub mod json;
pub mod note;
pub mod portal;
pub mod powershell;
pub(crate) mod quote;
pub mod resource;
pub mod side;
pub mod template;
pub mod terraform;

mod draft;
mod refusal;

pub use fault::AzureFault;
pub use import::import;
