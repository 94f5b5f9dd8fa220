//! Between Azure and the configuration: what `az network ... show` prints becomes a configuration
//! file, and a configuration becomes Azure's side of it. Pure: texts come in, texts go out.
//!
//! ```text
//!   JSON of az, of REST or of a template ── json ──> resource ── import ──> draft ──> TOML with comments
//!
//!   Config, chain ──> side ── template ──> ARM, Bicep, Terraform
//!                      └─────────────────> az, PowerShell, the portal's fields
//! ```
//!
//! | file | noun |
//! |---|---|
//! | [`json`], [`resource`] | lenient reading of JSON; what s2sd wants of Azure's resources |
//! | [`import`](mod@import), `refusal` | from resources to a file; why not |
//! | `draft`, [`note`] | the file; what it could not hold |
//! | [`chain`], [`side`] | our certificate's chain as Azure takes it; Azure's side in Azure's words |
//! | [`template`], [`arm`], [`bicep`], [`terraform`] | resources as a tree, and three ways to write it |
//! | [`az`], [`powershell`], [`portal`] | the same as commands, or to be typed |
//! | [`fault`], [`quote`] | why not, and what mends it; quoting for six languages |
//!
//! Two points of view meet here. The configuration's "local" is always this device; Azure's "local"
//! in traffic selectors is Azure, but its "local network gateway" is this device. Azure's names for
//! certificates are the configuration's too: what comes in to Azure is *inbound*.

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
pub mod quote;
pub mod resource;
pub mod side;
pub mod template;
pub mod terraform;

mod draft;
mod refusal;

pub use fault::AzureFault;
pub use import::import;
