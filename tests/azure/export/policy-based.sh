#!/bin/sh
# Azure's side of connS2S, made by `s2sd azure export`.
# The gateway reads its outbound certificate with a user-assigned identity, which needs the roles
# Key Vault Secrets User and Key Vault Certificate User on the vault.
# This is for new resources: existing ones would lose further settings, such as BGP and NAT
# rules.
set -eu
group='<RESOURCE-GROUP>'

az network local-gateway create --resource-group "$group" \
  --name localNetSite11 \
  --gateway-ip-address 203.0.113.10 \
  --address-prefixes 10.2.0.0/16

az network vpn-connection create --resource-group "$group" \
  --name connS2S \
  --vnet-gateway1 gw1 \
  --local-gateway2 localNetSite11 \
  --authentication-type Certificate \
  --certificate-authentication '{ "outboundAuthCertificate": "<OUTBOUND-CERTIFICATE-URL>", "inboundAuthCertificateSubjectName": "<INBOUND-CERTIFICATE-SUBJECT-NAME>", "inboundAuthCertificateChain": [ "<ROOT-IN-BASE64>" ] }'

az network vpn-connection ipsec-policy add --resource-group "$group" \
  --connection-name connS2S \
  --ike-encryption GCMAES256 \
  --ike-integrity SHA384 \
  --dh-group ECP384 \
  --ipsec-encryption GCMAES256 \
  --ipsec-integrity GCMAES256 \
  --pfs-group ECP384 \
  --sa-lifetime 27000 \
  --sa-max-size 102400000

az network vpn-connection update --resource-group "$group" \
  --name connS2S \
  --use-policy-based-traffic-selectors true \
  --set connectionMode=ResponderOnly dpdTimeoutSeconds=30 'trafficSelectorPolicies=[ { "localAddressRanges": [ "10.1.0.0/24", "10.1.1.0/24" ], "remoteAddressRanges": [ "10.2.0.0/24" ] }, { "localAddressRanges": [ "10.1.9.0/24" ], "remoteAddressRanges": [ "10.2.9.0/24" ] } ]'
