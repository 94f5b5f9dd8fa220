# Azure's side of connS2S, made by `s2sd azure export`.
# The gateway reads its outbound certificate with a user-assigned identity, which needs the roles
# Key Vault Secrets User and Key Vault Certificate User on the vault.
# This is for new resources: existing ones would lose further settings, such as BGP and NAT
# rules.

terraform {
  required_providers {
    azapi = {
      source  = "Azure/azapi"
      version = ">= 2.0"
    }
  }
}

variable "resource_group" {
  type        = string
  description = "The resource group of the gateway."
  default     = "rg1"
}

variable "location" {
  type        = string
  description = "The region of the gateway."
  default     = "westus"
}

data "azapi_client_config" "current" {}

locals {
  group_id = "/subscriptions/${data.azapi_client_config.current.subscription_id}/resourceGroups/${var.resource_group}"
  virtual_network_gateway_id = "${local.group_id}/providers/Microsoft.Network/virtualNetworkGateways/gw1"
}

resource "azapi_resource" "local_network_gateway" {
  type      = "Microsoft.Network/localNetworkGateways@2025-07-01"
  name      = "localNetSite11"
  parent_id = local.group_id
  location  = var.location
  body = {
    properties = {
      gatewayIpAddress = "203.0.113.10"
      localNetworkAddressSpace = {
        addressPrefixes = [
          "10.2.0.0/16"
        ]
      }
    }
  }
}

resource "azapi_resource" "connection" {
  type      = "Microsoft.Network/connections@2025-07-01"
  name      = "connS2S"
  parent_id = local.group_id
  location  = var.location
  body = {
    properties = {
      virtualNetworkGateway1 = {
        id = local.virtual_network_gateway_id
        properties = {}
      }
      localNetworkGateway2 = {
        id = azapi_resource.local_network_gateway.id
        properties = {}
      }
      connectionType = "IPsec"
      connectionProtocol = "IKEv2"
      connectionMode = "Default"
      authenticationType = "Certificate"
      certificateAuthentication = {
        outboundAuthCertificate = "https://kv1.vault.azure.net/certificates/az-outbound-cert1/0123456789abcdef"
        inboundAuthCertificateSubjectName = "onprem-s2s-1"
        inboundAuthCertificateChain = [
          "MIICroot",
          "MIICintermediate"
        ]
      }
      dpdTimeoutSeconds = 45
      useLocalAzureIpAddress = false
      ipsecPolicies = [
        {
          saLifeTimeSeconds = 27000
          saDataSizeKilobytes = 102400000
          ikeEncryption = "GCMAES256"
          ikeIntegrity = "SHA384"
          dhGroup = "ECP384"
          ipsecEncryption = "GCMAES256"
          ipsecIntegrity = "GCMAES256"
          pfsGroup = "ECP384"
        }
      ]
      usePolicyBasedTrafficSelectors = false
      trafficSelectorPolicies = []
    }
  }
}
