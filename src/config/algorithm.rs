//! Azure's names of algorithms, groups and modes. An algorithm that is too weak to protect anything
//! has no variant: the file's word is refused, and the hint names a better setting.

use super::choice::choices;
use crate::ike::endpoint::config::EspEncapsulation;
use crate::pki::auth::{Method1Hash, RsaPadding};

choices! {
    /// Azure's `connectionMode`: which side sends the first message.
    ConnectionMode {
        /// Both sides dial and both answer.
        Default = "Default",
        /// Azure dials, this device only answers.
        InitiatorOnly = "InitiatorOnly",
        /// Azure only answers, this device dials.
        ResponderOnly = "ResponderOnly",
    }
}

choices! {
    /// Azure's `ikeEncryption`: the cipher of the IKE SA.
    IkeEncryption {
        /// AES-256 in GCM.
        Gcmaes256 = "GCMAES256",
        /// AES-128 in GCM.
        Gcmaes128 = "GCMAES128",
        /// AES-256 in CBC.
        Aes256 = "AES256",
        /// AES-192 in CBC.
        Aes192 = "AES192",
        /// AES-128 in CBC.
        Aes128 = "AES128",
    }
    refused {
        ["DES3", "3DES", "DES"]: "ciphers with 64-bit blocks or short keys can be attacked: set IKE encryption to GCMAES256 in Azure and here",
    }
}

choices! {
    /// Azure's `ikeIntegrity`: the hash of the IKE SA's integrity check and of its pseudo-random
    /// function. With GCMAES as IKE encryption it chooses the pseudo-random function alone.
    IkeIntegrity {
        /// HMAC-SHA-384.
        Sha384 = "SHA384",
        /// HMAC-SHA-256.
        Sha256 = "SHA256",
        /// HMAC-SHA-1: old, but not broken in this use.
        Sha1 = "SHA1",
        /// AES-256-GCM's own, with the same IKE encryption. The word does not tell the
        /// pseudo-random function, so HMAC-SHA-384 and HMAC-SHA-256 are both offered.
        Gcmaes256 = "GCMAES256",
        /// AES-128-GCM's own, with the same IKE encryption, as above.
        Gcmaes128 = "GCMAES128",
    }
    refused {
        ["MD5"]: "MD5 is broken: set IKE integrity to SHA384 in Azure and here",
        ["GCMAES192"]: "GCM checks integrity by itself, but the pseudo-random function still needs a hash: set IKE integrity to SHA384 in Azure and here",
    }
}

choices! {
    /// Azure's `dhGroup`: the key exchange of the IKE SA.
    DhGroup {
        /// 2048-bit MODP with a 256-bit subgroup.
        Group24 = "DHGroup24",
        /// The NIST curve P-384.
        Ecp384 = "ECP384",
        /// The NIST curve P-256.
        Ecp256 = "ECP256",
        /// 2048-bit MODP.
        Group14 = "DHGroup14" or "DHGroup2048",
        /// 1024-bit MODP, which well-funded attackers can break.
        Group2 = "DHGroup2",
    }
    refused {
        ["DHGroup1", "None"]: "768 bits, or no key exchange at all, protect nothing: set the DH group to ECP384 in Azure and here",
    }
}

choices! {
    /// Azure's `ipsecEncryption`: the cipher of the packets.
    IpsecEncryption {
        /// AES-256 in GCM.
        Gcmaes256 = "GCMAES256",
        /// AES-192 in GCM.
        Gcmaes192 = "GCMAES192",
        /// AES-128 in GCM.
        Gcmaes128 = "GCMAES128",
        /// AES-256 in CBC.
        Aes256 = "AES256",
        /// AES-192 in CBC.
        Aes192 = "AES192",
        /// AES-128 in CBC.
        Aes128 = "AES128",
    }
    refused {
        ["DES3", "3DES", "DES"]: "ciphers with 64-bit blocks or short keys can be attacked: set IPsec encryption and integrity to GCMAES256 in Azure and here",
        ["None"]: "without encryption everybody on the path can read the packets: set IPsec encryption and integrity to GCMAES256 in Azure and here",
    }
}

choices! {
    /// Azure's `ipsecIntegrity`: the integrity check of the packets.
    IpsecIntegrity {
        /// AES-256-GCM's own; with the same IPsec encryption.
        Gcmaes256 = "GCMAES256",
        /// AES-192-GCM's own; with the same IPsec encryption.
        Gcmaes192 = "GCMAES192",
        /// AES-128-GCM's own; with the same IPsec encryption.
        Gcmaes128 = "GCMAES128",
        /// HMAC-SHA-256.
        Sha256 = "SHA256",
        /// HMAC-SHA-1: old, but not broken in this use.
        Sha1 = "SHA1",
    }
    refused {
        ["MD5"]: "MD5 is broken: set IPsec encryption and integrity to GCMAES256 in Azure and here",
        ["SHA384"]: "Azure has no SHA384 for IPsec: set IPsec encryption and integrity to GCMAES256, or integrity to SHA256",
    }
}

choices! {
    /// Azure's `pfsGroup`: the key exchange of each rekeying of the packets' keys.
    PfsGroup {
        /// 2048-bit MODP with a 256-bit subgroup.
        Pfs24 = "PFS24",
        /// The NIST curve P-384.
        Ecp384 = "ECP384",
        /// The NIST curve P-256.
        Ecp256 = "ECP256",
        /// 2048-bit MODP.
        Pfs2048 = "PFS2048" or "PFS14",
        /// 1024-bit MODP, which well-funded attackers can break.
        Pfs2 = "PFS2",
        /// The group of the IKE SA.
        SameAsIke = "PFSMM",
        /// No key exchange: new keys are derived from the IKE SA's.
        None = "None",
    }
    refused {
        ["PFS1"]: "768 bits protect nothing: set the PFS group to ECP384 in Azure and here",
    }
}

// How ESP packets travel.
choices! {
    impl EspEncapsulation {
        /// In UDP on port 4500, always.
        Udp = "udp",
        /// In UDP when there is a NAT on the way, else bare.
        Auto = "auto",
        /// Bare, as IP protocol 50.
        Esp = "esp",
    }
}

choices! {
    /// What is done about routes to the gateway's prefixes.
    Routes {
        /// All tunnels of the connection that are up carry traffic.
        Ecmp = "ecmp",
        /// The first tunnel that is up carries all traffic.
        Preferred = "preferred",
        /// None are made: a routing daemon or the administrator does.
        None = "none",
    }
}

choices! {
    /// How this device names itself to the gateway.
    InboundIdentity {
        /// By its certificate's subject (ID_DER_ASN1_DN).
        Subject = "subject",
        /// By `gateway_ip_address` of the local network gateway (ID_IPV4_ADDR, ID_IPV6_ADDR).
        Address = "address",
        /// By the common name of its certificate (ID_FQDN).
        Fqdn = "fqdn",
    }
}

// The padding of our RSA signatures for gateways with RFC 7427.
choices! {
    impl RsaPadding {
        /// RSASSA-PSS.
        Pss = "PSS",
        /// RSASSA-PKCS1-v1_5.
        Pkcs1 = "PKCS1",
    }
}

// The hash of our RSA signatures for gateways without RFC 7427.
choices! {
    impl Method1Hash {
        /// SHA-1.
        Sha1 = "SHA1",
        /// SHA-256.
        Sha256 = "SHA256",
        /// SHA-384.
        Sha384 = "SHA384",
        /// SHA-512.
        Sha512 = "SHA512",
    }
}
