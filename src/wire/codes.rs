//! The IANA numbers of IKEv2, as names. A number without a name is kept as `Unknown(n)`.
//!
//! Source: the IANA registry "Internet Key Exchange Version 2 (IKEv2) Parameters". Always make a
//! code with `from`, never by writing `Unknown(n)` for a number that has a name: equality is by
//! name.

use std::fmt;

/// Declares one registry: an enum with `Unknown(n)`, conversions both ways, and the registry's own
/// spelling.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident: $int:ty {
        $($(#[$doc:meta])* $variant:ident = $value:literal => $text:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $name {
            $($(#[$doc])* #[doc = concat!($text, " (", stringify!($value), ")")] $variant,)*
            /// A number that has no name here, as it was received.
            Unknown($int),
        }

        impl $name {
            /// Every named code of this registry, in its order.
            pub const KNOWN: &'static [$name] = &[$($name::$variant,)*];
        }

        impl From<$int> for $name {
            fn from(number: $int) -> $name {
                match number {
                    $($value => $name::$variant,)*
                    other => $name::Unknown(other),
                }
            }
        }

        impl From<$name> for $int {
            fn from(code: $name) -> $int {
                match code {
                    $($name::$variant => $value,)*
                    $name::Unknown(number) => number,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant => f.write_str($text),)*
                    $name::Unknown(number) => write!(f, "unknown {number}"),
                }
            }
        }
    };
}

codes! {
    /// Exchange types (RFC 7296 §3.1).
    ExchangeType: u8 {
        IkeSaInit = 34 => "IKE_SA_INIT",
        IkeAuth = 35 => "IKE_AUTH",
        CreateChildSa = 36 => "CREATE_CHILD_SA",
        Informational = 37 => "INFORMATIONAL",
        IkeSessionResume = 38 => "IKE_SESSION_RESUME",
        GsaAuth = 39 => "GSA_AUTH",
        GsaRegistration = 40 => "GSA_REGISTRATION",
        GsaRekey = 41 => "GSA_REKEY",
        GsaInbandRekey = 42 => "GSA_INBAND_REKEY",
        IkeIntermediate = 43 => "IKE_INTERMEDIATE",
        IkeFollowupKe = 44 => "IKE_FOLLOWUP_KE",
    }
}

codes! {
    /// Payload types (RFC 7296 §3.2).
    PayloadType: u8 {
        None = 0 => "none",
        Sa = 33 => "SA",
        KeyExchange = 34 => "KE",
        IdInitiator = 35 => "IDi",
        IdResponder = 36 => "IDr",
        Certificate = 37 => "CERT",
        CertificateRequest = 38 => "CERTREQ",
        Authentication = 39 => "AUTH",
        Nonce = 40 => "Nonce",
        Notify = 41 => "N",
        Delete = 42 => "D",
        VendorId = 43 => "V",
        TsInitiator = 44 => "TSi",
        TsResponder = 45 => "TSr",
        Encrypted = 46 => "SK",
        Configuration = 47 => "CP",
        Eap = 48 => "EAP",
        SecurePassword = 49 => "GSPM",
        GroupId = 50 => "IDg",
        GroupSecurityAssociation = 51 => "GSA",
        KeyDownload = 52 => "KD",
        EncryptedFragment = 53 => "SKF",
        PuzzleSolution = 54 => "PS",
    }
}

impl PayloadType {
    /// Whether s2sd decodes payloads of this type. Others are skipped, with a name or without,
    /// unless they are critical (RFC 7296 §2.5).
    pub fn is_understood(self) -> bool {
        !matches!(
            self,
            PayloadType::SecurePassword
                | PayloadType::GroupId
                | PayloadType::GroupSecurityAssociation
                | PayloadType::KeyDownload
                | PayloadType::PuzzleSolution
                | PayloadType::Unknown(_)
        )
    }
}

codes! {
    /// Security protocol identifiers (RFC 7296 §3.3.1).
    ProtocolId: u8 {
        None = 0 => "none",
        Ike = 1 => "IKE",
        Ah = 2 => "AH",
        Esp = 3 => "ESP",
    }
}

codes! {
    /// Transform types (RFC 7296 §3.3.2). Type 4 is called "Key Exchange Method" since RFC 9370.
    TransformType: u8 {
        Encryption = 1 => "ENCR",
        Prf = 2 => "PRF",
        Integrity = 3 => "INTEG",
        KeyExchange = 4 => "KE",
        SequenceNumbers = 5 => "ESN",
        AdditionalKeyExchange1 = 6 => "ADDKE1",
        AdditionalKeyExchange2 = 7 => "ADDKE2",
        AdditionalKeyExchange3 = 8 => "ADDKE3",
        AdditionalKeyExchange4 = 9 => "ADDKE4",
        AdditionalKeyExchange5 = 10 => "ADDKE5",
        AdditionalKeyExchange6 = 11 => "ADDKE6",
        AdditionalKeyExchange7 = 12 => "ADDKE7",
        KeyWrap = 13 => "KWA",
    }
}

impl TransformType {
    /// The types that s2sd negotiates. A proposal with a transform of another type is not chosen,
    /// though the type may have a name (RFC 7296 §3.3.6).
    pub const UNDERSTOOD: [TransformType; 5] = [
        TransformType::Encryption,
        TransformType::Prf,
        TransformType::Integrity,
        TransformType::KeyExchange,
        TransformType::SequenceNumbers,
    ];
}

codes! {
    /// Transform type 1: encryption algorithms.
    EncrId: u16 {
        DesIv64 = 1 => "DES_IV64",
        Des = 2 => "DES",
        TripleDes = 3 => "3DES",
        Rc5 = 4 => "RC5",
        Idea = 5 => "IDEA",
        Cast = 6 => "CAST",
        Blowfish = 7 => "BLOWFISH",
        TripleIdea = 8 => "3IDEA",
        DesIv32 = 9 => "DES_IV32",
        Null = 11 => "NULL",
        AesCbc = 12 => "AES_CBC",
        AesCtr = 13 => "AES_CTR",
        AesCcm8 = 14 => "AES_CCM_8",
        AesCcm12 = 15 => "AES_CCM_12",
        AesCcm16 = 16 => "AES_CCM_16",
        AesGcm8 = 18 => "AES_GCM_8",
        AesGcm12 = 19 => "AES_GCM_12",
        AesGcm16 = 20 => "AES_GCM_16",
        NullAuthAesGmac = 21 => "NULL_AUTH_AES_GMAC",
        CamelliaCbc = 23 => "CAMELLIA_CBC",
        CamelliaCtr = 24 => "CAMELLIA_CTR",
        CamelliaCcm8 = 25 => "CAMELLIA_CCM_8",
        CamelliaCcm12 = 26 => "CAMELLIA_CCM_12",
        CamelliaCcm16 = 27 => "CAMELLIA_CCM_16",
        ChaCha20Poly1305 = 28 => "CHACHA20_POLY1305",
        AesCcm8Iiv = 29 => "AES_CCM_8_IIV",
        AesGcm16Iiv = 30 => "AES_GCM_16_IIV",
        ChaCha20Poly1305Iiv = 31 => "CHACHA20_POLY1305_IIV",
        KuznyechikMgmKtree = 32 => "KUZNYECHIK_MGM_KTREE",
        MagmaMgmKtree = 33 => "MAGMA_MGM_KTREE",
        KuznyechikMgmMacKtree = 34 => "KUZNYECHIK_MGM_MAC_KTREE",
        MagmaMgmMacKtree = 35 => "MAGMA_MGM_MAC_KTREE",
    }
}

codes! {
    /// Transform type 2: pseudo-random functions.
    PrfId: u16 {
        HmacMd5 = 1 => "HMAC_MD5",
        HmacSha1 = 2 => "HMAC_SHA1",
        HmacTiger = 3 => "HMAC_TIGER",
        Aes128Xcbc = 4 => "AES128_XCBC",
        HmacSha2_256 = 5 => "HMAC_SHA2_256",
        HmacSha2_384 = 6 => "HMAC_SHA2_384",
        HmacSha2_512 = 7 => "HMAC_SHA2_512",
        Aes128Cmac = 8 => "AES128_CMAC",
        HmacStreebog512 = 9 => "HMAC_STREEBOG_512",
    }
}

codes! {
    /// Transform type 3: integrity algorithms.
    IntegId: u16 {
        None = 0 => "NONE",
        HmacMd5_96 = 1 => "HMAC_MD5_96",
        HmacSha1_96 = 2 => "HMAC_SHA1_96",
        DesMac = 3 => "DES_MAC",
        KpdkMd5 = 4 => "KPDK_MD5",
        AesXcbc96 = 5 => "AES_XCBC_96",
        HmacMd5_128 = 6 => "HMAC_MD5_128",
        HmacSha1_160 = 7 => "HMAC_SHA1_160",
        AesCmac96 = 8 => "AES_CMAC_96",
        Aes128Gmac = 9 => "AES_128_GMAC",
        Aes192Gmac = 10 => "AES_192_GMAC",
        Aes256Gmac = 11 => "AES_256_GMAC",
        HmacSha2_256_128 = 12 => "HMAC_SHA2_256_128",
        HmacSha2_384_192 = 13 => "HMAC_SHA2_384_192",
        HmacSha2_512_256 = 14 => "HMAC_SHA2_512_256",
    }
}

codes! {
    /// Transform type 4: key exchange methods ("Diffie-Hellman groups" in RFC 7296).
    KeId: u16 {
        None = 0 => "NONE",
        Modp768 = 1 => "MODP_768",
        Modp1024 = 2 => "MODP_1024",
        Modp1536 = 5 => "MODP_1536",
        Modp2048 = 14 => "MODP_2048",
        Modp3072 = 15 => "MODP_3072",
        Modp4096 = 16 => "MODP_4096",
        Modp6144 = 17 => "MODP_6144",
        Modp8192 = 18 => "MODP_8192",
        Ecp256 = 19 => "ECP_256",
        Ecp384 = 20 => "ECP_384",
        Ecp521 = 21 => "ECP_521",
        Modp1024S160 = 22 => "MODP_1024_160",
        Modp2048S224 = 23 => "MODP_2048_224",
        Modp2048S256 = 24 => "MODP_2048_256",
        Ecp192 = 25 => "ECP_192",
        Ecp224 = 26 => "ECP_224",
        BrainpoolP224r1 = 27 => "BRAINPOOL_P224R1",
        BrainpoolP256r1 = 28 => "BRAINPOOL_P256R1",
        BrainpoolP384r1 = 29 => "BRAINPOOL_P384R1",
        BrainpoolP512r1 = 30 => "BRAINPOOL_P512R1",
        Curve25519 = 31 => "CURVE25519",
        Curve448 = 32 => "CURVE448",
        Gost3410_2012_256 = 33 => "GOST3410_2012_256",
        Gost3410_2012_512 = 34 => "GOST3410_2012_512",
        MlKem512 = 35 => "ML_KEM_512",
        MlKem768 = 36 => "ML_KEM_768",
        MlKem1024 = 37 => "ML_KEM_1024",
    }
}

codes! {
    /// Transform type 5: sequence numbers of 32 bits, extended to 64 (RFC 4304), or without an
    /// order (RFC 9827).
    EsnId: u16 {
        Sequence32 = 0 => "32-bit",
        Extended64 = 1 => "ESN",
        Unspecified32 = 2 => "32-bit unspecified",
    }
}

codes! {
    /// Transform attribute types (RFC 7296 §3.3.5).
    AttributeType: u16 {
        KeyLength = 14 => "Key Length",
    }
}

codes! {
    /// Identification types (RFC 7296 §3.5).
    IdType: u8 {
        Ipv4Addr = 1 => "ID_IPV4_ADDR",
        Fqdn = 2 => "ID_FQDN",
        Rfc822Addr = 3 => "ID_RFC822_ADDR",
        Ipv6Addr = 5 => "ID_IPV6_ADDR",
        DerAsn1Dn = 9 => "ID_DER_ASN1_DN",
        DerAsn1Gn = 10 => "ID_DER_ASN1_GN",
        KeyId = 11 => "ID_KEY_ID",
        FcName = 12 => "ID_FC_NAME",
        Null = 13 => "ID_NULL",
    }
}

codes! {
    /// Certificate encodings (RFC 7296 §3.6).
    CertEncoding: u8 {
        Pkcs7 = 1 => "PKCS #7 wrapped X.509",
        Pgp = 2 => "PGP",
        DnsSignedKey = 3 => "DNS signed key",
        X509Signature = 4 => "X.509 signature",
        Kerberos = 6 => "Kerberos token",
        Crl = 7 => "CRL",
        Arl = 8 => "ARL",
        Spki = 9 => "SPKI",
        X509Attribute = 10 => "X.509 attribute",
        HashUrl = 12 => "hash and URL of X.509",
        HashUrlBundle = 13 => "hash and URL of X.509 bundle",
        OcspContent = 14 => "OCSP content",
        RawPublicKey = 15 => "raw public key",
    }
}

codes! {
    /// Authentication methods (RFC 7296 §3.8, RFC 4754, RFC 7427).
    AuthMethod: u8 {
        RsaSignature = 1 => "RSA digital signature",
        SharedKeyMic = 2 => "shared key message integrity code",
        DssSignature = 3 => "DSS digital signature",
        EcdsaSha256P256 = 9 => "ECDSA with SHA-256 on P-256",
        EcdsaSha384P384 = 10 => "ECDSA with SHA-384 on P-384",
        EcdsaSha512P521 = 11 => "ECDSA with SHA-512 on P-521",
        GenericSecurePassword = 12 => "generic secure password",
        Null = 13 => "NULL authentication",
        DigitalSignature = 14 => "digital signature (RFC 7427)",
    }
}

codes! {
    /// Hash algorithms announced by SIGNATURE_HASH_ALGORITHMS (RFC 7427 §7, RFC 8420).
    HashId: u16 {
        Sha1 = 1 => "SHA1",
        Sha2_256 = 2 => "SHA2-256",
        Sha2_384 = 3 => "SHA2-384",
        Sha2_512 = 4 => "SHA2-512",
        Identity = 5 => "Identity",
        Streebog256 = 6 => "STREEBOG_256",
        Streebog512 = 7 => "STREEBOG_512",
    }
}

codes! {
    /// Notify message types: errors below 16384, status above (RFC 7296 §3.10.1).
    NotifyType: u16 {
        UnsupportedCriticalPayload = 1 => "UNSUPPORTED_CRITICAL_PAYLOAD",
        InvalidIkeSpi = 4 => "INVALID_IKE_SPI",
        InvalidMajorVersion = 5 => "INVALID_MAJOR_VERSION",
        InvalidSyntax = 7 => "INVALID_SYNTAX",
        InvalidMessageId = 9 => "INVALID_MESSAGE_ID",
        InvalidSpi = 11 => "INVALID_SPI",
        NoProposalChosen = 14 => "NO_PROPOSAL_CHOSEN",
        InvalidKePayload = 17 => "INVALID_KE_PAYLOAD",
        AuthenticationFailed = 24 => "AUTHENTICATION_FAILED",
        SinglePairRequired = 34 => "SINGLE_PAIR_REQUIRED",
        NoAdditionalSas = 35 => "NO_ADDITIONAL_SAS",
        InternalAddressFailure = 36 => "INTERNAL_ADDRESS_FAILURE",
        FailedCpRequired = 37 => "FAILED_CP_REQUIRED",
        TsUnacceptable = 38 => "TS_UNACCEPTABLE",
        InvalidSelectors = 39 => "INVALID_SELECTORS",
        UnacceptableAddresses = 40 => "UNACCEPTABLE_ADDRESSES",
        UnexpectedNatDetected = 41 => "UNEXPECTED_NAT_DETECTED",
        UseAssignedHoA = 42 => "USE_ASSIGNED_HoA",
        TemporaryFailure = 43 => "TEMPORARY_FAILURE",
        ChildSaNotFound = 44 => "CHILD_SA_NOT_FOUND",
        InvalidGroupId = 45 => "INVALID_GROUP_ID",
        AuthorizationFailed = 46 => "AUTHORIZATION_FAILED",
        StateNotFound = 47 => "STATE_NOT_FOUND",
        TsMaxQueue = 48 => "TS_MAX_QUEUE",
        InitialContact = 16384 => "INITIAL_CONTACT",
        SetWindowSize = 16385 => "SET_WINDOW_SIZE",
        AdditionalTsPossible = 16386 => "ADDITIONAL_TS_POSSIBLE",
        IpcompSupported = 16387 => "IPCOMP_SUPPORTED",
        NatDetectionSourceIp = 16388 => "NAT_DETECTION_SOURCE_IP",
        NatDetectionDestinationIp = 16389 => "NAT_DETECTION_DESTINATION_IP",
        Cookie = 16390 => "COOKIE",
        UseTransportMode = 16391 => "USE_TRANSPORT_MODE",
        HttpCertLookupSupported = 16392 => "HTTP_CERT_LOOKUP_SUPPORTED",
        RekeySa = 16393 => "REKEY_SA",
        EspTfcPaddingNotSupported = 16394 => "ESP_TFC_PADDING_NOT_SUPPORTED",
        NonFirstFragmentsAlso = 16395 => "NON_FIRST_FRAGMENTS_ALSO",
        MobikeSupported = 16396 => "MOBIKE_SUPPORTED",
        AdditionalIp4Address = 16397 => "ADDITIONAL_IP4_ADDRESS",
        AdditionalIp6Address = 16398 => "ADDITIONAL_IP6_ADDRESS",
        NoAdditionalAddresses = 16399 => "NO_ADDITIONAL_ADDRESSES",
        UpdateSaAddresses = 16400 => "UPDATE_SA_ADDRESSES",
        Cookie2 = 16401 => "COOKIE2",
        NoNatsAllowed = 16402 => "NO_NATS_ALLOWED",
        AuthLifetime = 16403 => "AUTH_LIFETIME",
        MultipleAuthSupported = 16404 => "MULTIPLE_AUTH_SUPPORTED",
        AnotherAuthFollows = 16405 => "ANOTHER_AUTH_FOLLOWS",
        RedirectSupported = 16406 => "REDIRECT_SUPPORTED",
        Redirect = 16407 => "REDIRECT",
        RedirectedFrom = 16408 => "REDIRECTED_FROM",
        TicketLtOpaque = 16409 => "TICKET_LT_OPAQUE",
        TicketRequest = 16410 => "TICKET_REQUEST",
        TicketAck = 16411 => "TICKET_ACK",
        TicketNack = 16412 => "TICKET_NACK",
        TicketOpaque = 16413 => "TICKET_OPAQUE",
        LinkId = 16414 => "LINK_ID",
        UseWespMode = 16415 => "USE_WESP_MODE",
        RohcSupported = 16416 => "ROHC_SUPPORTED",
        EapOnlyAuthentication = 16417 => "EAP_ONLY_AUTHENTICATION",
        ChildlessIkev2Supported = 16418 => "CHILDLESS_IKEV2_SUPPORTED",
        QuickCrashDetection = 16419 => "QUICK_CRASH_DETECTION",
        IkeMessageIdSyncSupported = 16420 => "IKEV2_MESSAGE_ID_SYNC_SUPPORTED",
        IpsecReplayCounterSyncSupported = 16421 => "IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED",
        IkeMessageIdSync = 16422 => "IKEV2_MESSAGE_ID_SYNC",
        IpsecReplayCounterSync = 16423 => "IPSEC_REPLAY_COUNTER_SYNC",
        SecurePasswordMethods = 16424 => "SECURE_PASSWORD_METHODS",
        PskPersist = 16425 => "PSK_PERSIST",
        PskConfirm = 16426 => "PSK_CONFIRM",
        ErxSupported = 16427 => "ERX_SUPPORTED",
        IfomCapability = 16428 => "IFOM_CAPABILITY",
        SenderRequestId = 16429 => "SENDER_REQUEST_ID",
        FragmentationSupported = 16430 => "IKEV2_FRAGMENTATION_SUPPORTED",
        SignatureHashAlgorithms = 16431 => "SIGNATURE_HASH_ALGORITHMS",
        CloneIkeSaSupported = 16432 => "CLONE_IKE_SA_SUPPORTED",
        CloneIkeSa = 16433 => "CLONE_IKE_SA",
        Puzzle = 16434 => "PUZZLE",
        UsePpk = 16435 => "USE_PPK",
        PpkIdentity = 16436 => "PPK_IDENTITY",
        NoPpkAuth = 16437 => "NO_PPK_AUTH",
        IntermediateExchangeSupported = 16438 => "INTERMEDIATE_EXCHANGE_SUPPORTED",
        Ip4Allowed = 16439 => "IP4_ALLOWED",
        Ip6Allowed = 16440 => "IP6_ALLOWED",
        AdditionalKeyExchange = 16441 => "ADDITIONAL_KEY_EXCHANGE",
        UseAggfrag = 16442 => "USE_AGGFRAG",
        SupportedAuthMethods = 16443 => "SUPPORTED_AUTH_METHODS",
        SaResourceInfo = 16444 => "SA_RESOURCE_INFO",
        UsePpkInt = 16445 => "USE_PPK_INT",
        PpkIdentityKey = 16446 => "PPK_IDENTITY_KEY",
    }
}

impl NotifyType {
    /// Whether this type reports an error: types below 16384 do (RFC 7296 §3.10.1).
    pub fn is_error(self) -> bool {
        u16::from(self) < 0x4000
    }
}

codes! {
    /// Traffic selector types (RFC 7296 §3.13.1).
    TsType: u8 {
        Ipv4AddrRange = 7 => "TS_IPV4_ADDR_RANGE",
        Ipv6AddrRange = 8 => "TS_IPV6_ADDR_RANGE",
        FcAddrRange = 9 => "TS_FC_ADDR_RANGE",
        SecLabel = 10 => "TS_SECLABEL",
    }
}

codes! {
    /// Configuration payload types (RFC 7296 §3.15).
    CfgType: u8 {
        Request = 1 => "CFG_REQUEST",
        Reply = 2 => "CFG_REPLY",
        Set = 3 => "CFG_SET",
        Ack = 4 => "CFG_ACK",
    }
}

codes! {
    /// Configuration attribute types (RFC 7296 §3.15.1).
    CfgAttributeType: u16 {
        InternalIp4Address = 1 => "INTERNAL_IP4_ADDRESS",
        InternalIp4Netmask = 2 => "INTERNAL_IP4_NETMASK",
        InternalIp4Dns = 3 => "INTERNAL_IP4_DNS",
        InternalIp4Nbns = 4 => "INTERNAL_IP4_NBNS",
        InternalIp4Dhcp = 6 => "INTERNAL_IP4_DHCP",
        ApplicationVersion = 7 => "APPLICATION_VERSION",
        InternalIp6Address = 8 => "INTERNAL_IP6_ADDRESS",
        InternalIp6Dns = 10 => "INTERNAL_IP6_DNS",
        InternalIp6Dhcp = 12 => "INTERNAL_IP6_DHCP",
        InternalIp4Subnet = 13 => "INTERNAL_IP4_SUBNET",
        SupportedAttributes = 14 => "SUPPORTED_ATTRIBUTES",
        InternalIp6Subnet = 15 => "INTERNAL_IP6_SUBNET",
        Mip6HomePrefix = 16 => "MIP6_HOME_PREFIX",
        InternalIp6Link = 17 => "INTERNAL_IP6_LINK",
        InternalIp6Prefix = 18 => "INTERNAL_IP6_PREFIX",
        HomeAgentAddress = 19 => "HOME_AGENT_ADDRESS",
        PCscfIp4Address = 20 => "P_CSCF_IP4_ADDRESS",
        PCscfIp6Address = 21 => "P_CSCF_IP6_ADDRESS",
        FttKat = 22 => "FTT_KAT",
        ExternalSourceIp4NatInfo = 23 => "EXTERNAL_SOURCE_IP4_NAT_INFO",
        TimeoutPeriodForLivenessCheck = 24 => "TIMEOUT_PERIOD_FOR_LIVENESS_CHECK",
        InternalDnsDomain = 25 => "INTERNAL_DNS_DOMAIN",
        InternalDnssecTa = 26 => "INTERNAL_DNSSEC_TA",
        EncdnsIp4 = 27 => "ENCDNS_IP4",
        EncdnsIp6 = 28 => "ENCDNS_IP6",
        EncdnsDigestInfo = 29 => "ENCDNS_DIGEST_INFO",
    }
}

codes! {
    /// EAP codes (RFC 3748 §4).
    EapCode: u8 {
        Request = 1 => "Request",
        Response = 2 => "Response",
        Success = 3 => "Success",
        Failure = 4 => "Failure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number of a registry survives the way through the enum, and a named one never as
    /// `Unknown`.
    macro_rules! survives {
        ($($name:ident: $int:ty),*) => {$(
            for number in 0..=<$int>::MAX {
                let code = $name::from(number);
                assert_eq!(<$int>::from(code), number);
                assert_eq!(matches!(code, $name::Unknown(_)), !$name::KNOWN.contains(&code));
            }
        )*};
    }

    #[test]
    fn every_number_survives() {
        survives!(
            ExchangeType: u8, PayloadType: u8, ProtocolId: u8, TransformType: u8, IdType: u8,
            CertEncoding: u8, AuthMethod: u8, TsType: u8, CfgType: u8, EapCode: u8,
            EncrId: u16, PrfId: u16, IntegId: u16, KeId: u16, EsnId: u16, AttributeType: u16,
            HashId: u16, NotifyType: u16, CfgAttributeType: u16
        );
    }

    #[test]
    fn errors_end_where_status_begins() {
        assert!(NotifyType::TsMaxQueue.is_error());
        assert!(NotifyType::Unknown(16383).is_error());
        assert!(!NotifyType::InitialContact.is_error());
    }
}
