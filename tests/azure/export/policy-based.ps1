# Azure's side of connS2S, made by `s2sd azure export`.
# The gateway reads its outbound certificate with a user-assigned identity, which needs the roles
# Key Vault Secrets User and Key Vault Certificate User on the vault.
# This is for new resources: existing ones would lose further settings, such as BGP and NAT
# rules.
$ErrorActionPreference = 'Stop'
$group = '<RESOURCE-GROUP>'
$location = '<LOCATION>'

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
  OutboundAuthCertificate           = '<OUTBOUND-CERTIFICATE-URL>'
  InboundAuthCertificateSubjectName = '<INBOUND-CERTIFICATE-SUBJECT-NAME>'
  InboundAuthCertificateChain       = @('<ROOT-IN-BASE64>')
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
$selectors = @(
  New-AzTrafficSelectorPolicy -LocalAddressRange @('10.1.0.0/24', '10.1.1.0/24') -RemoteAddressRange @('10.2.0.0/24')
  New-AzTrafficSelectorPolicy -LocalAddressRange @('10.1.9.0/24') -RemoteAddressRange @('10.2.9.0/24')
)
$settings = @{
  Name                           = 'connS2S'
  ResourceGroupName              = $group
  Location                       = $location
  VirtualNetworkGateway1         = $gateway
  LocalNetworkGateway2           = $site
  ConnectionType                 = 'IPsec'
  ConnectionProtocol             = 'IKEv2'
  ConnectionMode                 = 'ResponderOnly'
  AuthenticationType             = 'Certificate'
  CertificateAuthentication      = $certificates
  DpdTimeoutInSeconds            = 30
  UsePolicyBasedTrafficSelectors = $true
  IpsecPolicies                  = $policy
  TrafficSelectorPolicy          = $selectors
}
New-AzVirtualNetworkGatewayConnection @settings
