#!/bin/sh
# Azure's side of connS2S, made by `s2sd azure export`.
# The gateway reads its outbound certificate with a user-assigned identity, which needs the roles
# Key Vault Secrets User and Key Vault Certificate User on the vault.
# This is for new resources: existing ones would lose further settings, such as BGP and NAT
# rules.
# Every version of az that has `az deployment` will do (2.2.0, March 2020).
set -eu
group=rg1

if az network vpn-connection show --resource-group "$group" --name connS2S --output none 2>/dev/null; then
  printf '%s\n' connS2S': the connection exists, and would lose the settings that are not in this script. Delete it first, or change it in the portal.' >&2
  exit 1
fi

template=$(mktemp)
trap 'rm -f "$template"' EXIT
cat > "$template" <<'TEMPLATE'
{
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "contentVersion": "1.0.0.0",
  "metadata": {
    "description": "Azure's side of connS2S, made by `s2sd azure export`. The gateway reads its outbound certificate with a user-assigned identity, which needs the roles Key Vault Secrets User and Key Vault Certificate User on the vault. This is for new resources: existing ones would lose further settings, such as BGP and NAT rules."
  },
  "parameters": {
    "location": {
      "type": "string",
      "defaultValue": "westus"
    }
  },
  "resources": [
    {
      "type": "Microsoft.Network/localNetworkGateways",
      "apiVersion": "2025-07-01",
      "name": "localNetSite11",
      "location": "[parameters('location')]",
      "properties": {
        "gatewayIpAddress": "203.0.113.10",
        "localNetworkAddressSpace": {
          "addressPrefixes": [
            "10.2.0.0/16"
          ]
        }
      }
    },
    {
      "type": "Microsoft.Network/connections",
      "apiVersion": "2025-07-01",
      "name": "connS2S",
      "location": "[parameters('location')]",
      "dependsOn": [
        "[resourceId('Microsoft.Network/localNetworkGateways', 'localNetSite11')]"
      ],
      "properties": {
        "virtualNetworkGateway1": {
          "id": "[resourceId('Microsoft.Network/virtualNetworkGateways', 'gw1')]",
          "properties": {}
        },
        "localNetworkGateway2": {
          "id": "[resourceId('Microsoft.Network/localNetworkGateways', 'localNetSite11')]",
          "properties": {}
        },
        "connectionType": "IPsec",
        "connectionProtocol": "IKEv2",
        "connectionMode": "Default",
        "authenticationType": "Certificate",
        "certificateAuthentication": {
          "outboundAuthCertificate": "https://kv1.vault.azure.net/certificates/az-outbound-cert1/0123456789abcdef",
          "inboundAuthCertificateSubjectName": "onprem-s2s-1",
          "inboundAuthCertificateChain": [
            "MIICroot",
            "MIICintermediate"
          ]
        },
        "dpdTimeoutSeconds": 45,
        "useLocalAzureIpAddress": false,
        "ipsecPolicies": [
          {
            "saLifeTimeSeconds": 27000,
            "saDataSizeKilobytes": 102400000,
            "ikeEncryption": "GCMAES256",
            "ikeIntegrity": "SHA384",
            "dhGroup": "ECP384",
            "ipsecEncryption": "GCMAES256",
            "ipsecIntegrity": "GCMAES256",
            "pfsGroup": "ECP384"
          }
        ],
        "usePolicyBasedTrafficSelectors": false,
        "trafficSelectorPolicies": []
      }
    }
  ]
}
TEMPLATE

az deployment group create --resource-group "$group" \
  --name s2sd \
  --template-file "$template"
