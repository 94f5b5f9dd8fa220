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
}

variable "location" {
  type        = string
  description = "The region of the gateway."
}

variable "outbound_certificate_url" {
  type        = string
  description = "The certificate identifier of Azure's certificate in Key Vault: https://VAULT.vault.azure.net/certificates/NAME/VERSION"
}

variable "inbound_certificate_subject_name" {
  type        = string
  description = "The common name of this site's certificate, without CN="
}

variable "inbound_certificate_chain" {
  type        = list(string)
  description = "The root of this site's certificate, then its intermediates, each as one line of base64 without BEGIN and END"
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
      connectionMode = "ResponderOnly"
      authenticationType = "Certificate"
      certificateAuthentication = {
        outboundAuthCertificate = var.outbound_certificate_url
        inboundAuthCertificateSubjectName = var.inbound_certificate_subject_name
        inboundAuthCertificateChain = var.inbound_certificate_chain
      }
      dpdTimeoutSeconds = 30
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
      usePolicyBasedTrafficSelectors = true
      trafficSelectorPolicies = [
        {
          localAddressRanges = [
            "10.1.0.0/24",
            "10.1.1.0/24"
          ]
          remoteAddressRanges = [
            "10.2.0.0/24"
          ]
        },
        {
          localAddressRanges = [
            "10.1.9.0/24"
          ]
          remoteAddressRanges = [
            "10.2.9.0/24"
          ]
        }
      ]
    }
  }
}
