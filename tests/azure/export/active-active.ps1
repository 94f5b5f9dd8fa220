# Azure's side of connS2S, made by `s2sd azure export`.
# The gateway reads its outbound certificate with a user-assigned identity, which needs the roles
# Key Vault Secrets User and Key Vault Certificate User on the vault.
# This is for new resources: existing ones would lose further settings, such as BGP and NAT
# rules.
$ErrorActionPreference = 'Stop'
$group = 'rg1'
$location = 'westus'

$settings = @{
  Name              = 'localNetSite11'
  ResourceGroupName = $group
  Location          = $location
  GatewayIpAddress  = '203.0.113.10'
  AddressPrefix     = @('10.2.0.0/16')
}
$site = New-AzLocalNetworkGateway @settings

$gateway = Get-AzVirtualNetworkGateway -ResourceGroupName $group -Name 'gw1'
$settings = @{
  OutboundAuthCertificate           = 'https://kv1.vault.azure.net/certificates/az-outbound-cert1/0123456789abcdef'
  InboundAuthCertificateSubjectName = 'onprem-s2s-1'
  InboundAuthCertificateChain       = @('MIICroot', 'MIICintermediate')
}
$certificates = New-AzVirtualNetworkGatewayCertificateAuthentication @settings
$settings = @{
  IkeEncryption       = 'GCMAES256'
  IkeIntegrity        = 'SHA384'
  DhGroup             = 'ECP384'
  IpsecEncryption     = 'GCMAES256'
  IpsecIntegrity      = 'GCMAES256'
  PfsGroup            = 'ECP384'
  SALifeTimeSeconds   = 27000
  SADataSizeKilobytes = 102400000
}
$policy = New-AzIpsecPolicy @settings
$settings = @{
  Name                           = 'connS2S'
  ResourceGroupName              = $group
  Location                       = $location
  VirtualNetworkGateway1         = $gateway
  LocalNetworkGateway2           = $site
  ConnectionType                 = 'IPsec'
  ConnectionProtocol             = 'IKEv2'
  ConnectionMode                 = 'Default'
  AuthenticationType             = 'Certificate'
  CertificateAuthentication      = $certificates
  DpdTimeoutInSeconds            = 45
  UsePolicyBasedTrafficSelectors = $false
  IpsecPolicies                  = $policy
}
New-AzVirtualNetworkGatewayConnection @settings
