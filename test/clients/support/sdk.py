"""The Python management SDKs against local Azure: `make` makes what a project file asks for, `read` prints what is there."""

import json
import os
import sys

from azure.identity import ClientSecretCredential
from azure.mgmt.postgresqlflexibleservers import PostgreSQLManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.web import WebSiteManagementClient

arm = os.environ["AZURE_RESOURCE_MANAGER"]
subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
credential = ClientSecretCredential(
    os.environ["AZURE_TENANT_ID"],
    os.environ["AZURE_CLIENT_ID"],
    os.environ["AZURE_CLIENT_SECRET"],
    authority=os.environ["AZURE_AUTHORITY_HOST"],
    disable_instance_discovery=True,
)
options = {"base_url": arm, "credential_scopes": ["https://management.azure.com/.default"]}
groups = ResourceManagementClient(credential, subscription, **options)
servers = PostgreSQLManagementClient(credential, subscription, **options)
sites = WebSiteManagementClient(credential, subscription, **options)


def make(group: str, server: str, plan: str) -> dict:
    groups.resource_groups.create_or_update(group, {"location": "eastus"})
    made = servers.servers.begin_create_or_update(
        group,
        server,
        {
            "location": "eastus",
            "sku": {"name": "Standard_B1ms", "tier": "Burstable"},
            "properties": {
                "version": "16",
                "createMode": "Create",
                "storage": {"storageSizeGB": 32},
                "authConfig": {
                    "activeDirectoryAuth": "Enabled",
                    "passwordAuth": "Disabled",
                    "tenantId": os.environ["AZURE_TENANT_ID"],
                },
                "network": {"publicNetworkAccess": "Enabled"},
                "backup": {"backupRetentionDays": 7, "geoRedundantBackup": "Disabled"},
                "highAvailability": {"mode": "Disabled"},
            },
        },
    ).result()
    sites.app_service_plans.begin_create_or_update(
        group, plan, {"location": "eastus", "kind": "linux", "sku": {"name": "B1", "tier": "Basic"}, "properties": {"reserved": True}}
    ).result()
    return {"state": made.as_dict()["properties"]["state"]}


def read(group: str, server: str, site: str) -> dict:
    settings = sites.web_apps.list_application_settings(group, site).as_dict()["properties"]
    return {
        "server": servers.servers.get(group, server).as_dict()["properties"],
        "administrators": [row.as_dict()["properties"]["principalName"] for row in servers.administrators_microsoft_entra.list_by_server(group, server)],
        "databases": [row.name for row in servers.databases.list_by_server(group, server)],
        "identity": sites.web_apps.get(group, site).as_dict()["identity"],
        "settings": sorted(settings),
        "resources": sorted(row.type.lower() for row in groups.resources.list_by_resource_group(group)),
    }


print(json.dumps({"make": make, "read": read}[sys.argv[1]](*sys.argv[2:])))
