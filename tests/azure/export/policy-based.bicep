// Azure's side of connS2S, made by `s2sd azure export`.
// The gateway reads its outbound certificate with a user-assigned identity, which needs the roles
// Key Vault Secrets User and Key Vault Certificate User on the vault.
// This is for new resources: existing ones would lose further settings, such as BGP and NAT
// rules.

param location string = resourceGroup().location

@description('The certificate identifier of Azure\'s certificate in Key Vault: https://VAULT.vault.azure.net/certificates/NAME/VERSION')
param outboundCertificateUrl string

@description('The common name of this site\'s certificate, without CN=')
param inboundCertificateSubjectName string

@description('The root of this site\'s certificate, then its intermediates, each as one line of base64 without BEGIN and END')
param inboundCertificateChain string[]

resource virtualNetworkGateway 'Microsoft.Network/virtualNetworkGateways@2025-07-01' existing = {
  name: 'gw1'
}

resource localNetworkGateway 'Microsoft.Network/localNetworkGateways@2025-07-01' = {
  name: 'localNetSite11'
  location: location
  properties: {
    gatewayIpAddress: '203.0.113.10'
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
    connectionMode: 'ResponderOnly'
    authenticationType: 'Certificate'
    certificateAuthentication: {
      outboundAuthCertificate: outboundCertificateUrl
      inboundAuthCertificateSubjectName: inboundCertificateSubjectName
      inboundAuthCertificateChain: inboundCertificateChain
    }
    dpdTimeoutSeconds: 30
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
    usePolicyBasedTrafficSelectors: true
    trafficSelectorPolicies: [
      {
        localAddressRanges: [
          '10.1.0.0/24'
          '10.1.1.0/24'
        ]
        remoteAddressRanges: [
          '10.2.0.0/24'
        ]
      }
      {
        localAddressRanges: [
          '10.1.9.0/24'
        ]
        remoteAddressRanges: [
          '10.2.9.0/24'
        ]
      }
    ]
  }
}
