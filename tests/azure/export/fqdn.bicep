// Azure's side of connS2S, made by `s2sd azure export`.
// The gateway reads its outbound certificate with a user-assigned identity, which needs the roles
// Key Vault Secrets User and Key Vault Certificate User on the vault.
// This is for new resources: existing ones would lose further settings, such as BGP and NAT
// rules.

param location string = 'westus'

resource virtualNetworkGateway 'Microsoft.Network/virtualNetworkGateways@2025-07-01' existing = {
  name: 'gw1'
}

resource localNetworkGateway 'Microsoft.Network/localNetworkGateways@2025-07-01' = {
  name: 'localNetSite11'
  location: location
  properties: {
    fqdn: 'site11.example.com'
    localNetworkAddressSpace: {
      addressPrefixes: [
        '10.2.0.0/16'
      ]
    }
  }
}

resource connection 'Microsoft.Network/connections@2025-07-01' = {
  name: 'connS2S'
  location: location
  properties: {
    virtualNetworkGateway1: {
      id: virtualNetworkGateway.id
      properties: {}
    }
    localNetworkGateway2: {
      id: localNetworkGateway.id
      properties: {}
    }
    connectionType: 'IPsec'
    connectionProtocol: 'IKEv2'
    connectionMode: 'Default'
    authenticationType: 'Certificate'
    certificateAuthentication: {
      outboundAuthCertificate: 'https://kv1.vault.azure.net/certificates/az-outbound-cert1/0123456789abcdef'
      inboundAuthCertificateSubjectName: 'onprem-s2s-1'
      inboundAuthCertificateChain: [
        'MIICroot'
        'MIICintermediate'
      ]
    }
    dpdTimeoutSeconds: 45
    useLocalAzureIpAddress: false
    ipsecPolicies: [
      {
        saLifeTimeSeconds: 27000
        saDataSizeKilobytes: 102400000
        ikeEncryption: 'GCMAES256'
        ikeIntegrity: 'SHA384'
        dhGroup: 'ECP384'
        ipsecEncryption: 'GCMAES256'
        ipsecIntegrity: 'GCMAES256'
        pfsGroup: 'ECP384'
      }
    ]
    usePolicyBasedTrafficSelectors: false
    trafficSelectorPolicies: []
  }
}
