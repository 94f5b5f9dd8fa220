#!/bin/sh
# Azure's side of connS2S, made by `s2sd azure export`.
# The gateway reads its outbound certificate with a user-assigned identity, which needs the roles
# Key Vault Secrets User and Key Vault Certificate User on the vault.
# This is for new resources: existing ones would lose further settings, such as BGP and NAT
# rules.
set -eu
group=rg1

az resource create --resource-group "$group" \
  --resource-type Microsoft.Network/localNetworkGateways \
  --api-version 2025-07-01 \
  --name localNetSite11 \
  --properties '{ "fqdn": "site11.example.com", "localNetworkAddressSpace": { "addressPrefixes": [ "10.2.0.0/16" ] } }' \
  --location westus

az network vpn-connection create --resource-group "$group" \
  --name connS2S \
  --vnet-gateway1 gw1 \
  --local-gateway2 localNetSite11 \
  --location westus \
  --authentication-type Certificate \
  --certificate-authentication '{ "outboundAuthCertificate": "https://kv1.vault.azure.net/certificates/az-outbound-cert1/0123456789abcdef", "inboundAuthCertificateSubjectName": "onprem-s2s-1", "inboundAuthCertificateChain": [ "MIICroot", "MIICintermediate" ] }'

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
  --use-policy-based-traffic-selectors false \
  --set connectionMode=Default dpdTimeoutSeconds=45
