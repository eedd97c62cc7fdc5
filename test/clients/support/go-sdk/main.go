// The Azure SDK for Go against local Azure: signs in, makes a group, a flexible server and a web app, reads, changes and deletes them.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	postgres "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/postgresql/armpostgresqlflexibleservers"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

const (
	group  = "rg-go"
	server = "go-server-sdk1"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	options := azcore.ClientOptions{Cloud: cloud.Configuration{
		ActiveDirectoryAuthorityHost: os.Getenv("AZURE_AUTHORITY_HOST"),
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			cloud.ResourceManager: {Endpoint: os.Getenv("AZURE_RESOURCE_MANAGER"), Audience: "https://management.azure.com"},
		},
	}}
	credential, err := azidentity.NewClientSecretCredential(os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID"), os.Getenv("AZURE_CLIENT_SECRET"),
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	if err != nil {
		return err
	}
	subscription := os.Getenv("AZURE_SUBSCRIPTION_ID")
	arms := &arm.ClientOptions{ClientOptions: options}
	groups, err := armresources.NewResourceGroupsClient(subscription, credential, arms)
	if err != nil {
		return err
	}
	resources, err := armresources.NewClient(subscription, credential, arms)
	if err != nil {
		return err
	}
	servers, err := postgres.NewServersClient(subscription, credential, arms)
	if err != nil {
		return err
	}
	rules, err := postgres.NewFirewallRulesClient(subscription, credential, arms)
	if err != nil {
		return err
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://ossrdbms-aad.database.windows.net/.default"}})
	if err != nil || token.Token == "" {
		return fmt.Errorf("token for PostgreSQL: %w", err)
	}

	if _, err := groups.CreateOrUpdate(ctx, group, armresources.ResourceGroup{Location: to.Ptr("eastus")}, nil); err != nil {
		return err
	}
	creating, err := servers.BeginCreate(ctx, group, server, postgres.Server{
		Location: to.Ptr("eastus"),
		SKU:      &postgres.SKU{Name: to.Ptr("Standard_B1ms"), Tier: to.Ptr(postgres.SKUTierBurstable)},
		Properties: &postgres.ServerProperties{
			Version:                    to.Ptr(postgres.ServerVersion("16")),
			CreateMode:                 to.Ptr(postgres.CreateModeCreate),
			AdministratorLogin:         to.Ptr("someone"),
			AdministratorLoginPassword: to.Ptr(os.Getenv("GO_TEST_PASSWORD")),
			Storage:                    &postgres.Storage{StorageSizeGB: to.Ptr[int32](32)},
		},
	}, nil)
	if err != nil {
		return err
	}
	made, err := creating.PollUntilDone(ctx, nil)
	if err != nil {
		return err
	}
	fmt.Println("server", *made.Properties.State)
	opening, err := rules.BeginCreateOrUpdate(ctx, group, server, "office", postgres.FirewallRule{
		Properties: &postgres.FirewallRuleProperties{StartIPAddress: to.Ptr("203.0.113.1"), EndIPAddress: to.Ptr("203.0.113.2")},
	}, nil)
	if err != nil {
		return err
	}
	if _, err := opening.PollUntilDone(ctx, nil); err != nil {
		return err
	}
	updating, err := servers.BeginUpdate(ctx, group, server, postgres.ServerForUpdate{Tags: map[string]*string{"team": to.Ptr("shop")}}, nil)
	if err != nil {
		return err
	}
	if _, err := updating.PollUntilDone(ctx, nil); err != nil {
		return err
	}
	read, err := servers.Get(ctx, group, server, nil)
	if err != nil {
		return err
	}
	fmt.Println("tags", *read.Tags["team"])

	base := "/subscriptions/" + subscription + "/resourceGroups/" + group + "/providers/Microsoft.Web/"
	if err := put(ctx, resources, base+"serverfarms/go-plan", armresources.GenericResource{
		Location: to.Ptr("eastus"), Kind: to.Ptr("linux"), SKU: &armresources.SKU{Name: to.Ptr("B1")}, Properties: map[string]any{"reserved": true},
	}); err != nil {
		return err
	}
	if err := put(ctx, resources, base+"sites/go-site-sdk1", armresources.GenericResource{
		Location:   to.Ptr("eastus"),
		Identity:   &armresources.Identity{Type: to.Ptr(armresources.ResourceIdentityTypeSystemAssigned)},
		Properties: map[string]any{"serverFarmId": base + "serverfarms/go-plan", "siteConfig": map[string]any{"linuxFxVersion": "PYTHON|3.12"}},
	}); err != nil {
		return err
	}
	site, err := resources.GetByID(ctx, base+"sites/go-site-sdk1", "2024-04-01", nil)
	if err != nil {
		return err
	}
	fmt.Println("site identity", len(*site.Identity.PrincipalID))
	for pager := resources.NewListByResourceGroupPager(group, nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return err
		}
		fmt.Println("resources", len(page.Value))
	}
	deleting, err := groups.BeginDelete(ctx, group, nil)
	if err != nil {
		return err
	}
	if _, err := deleting.PollUntilDone(ctx, nil); err != nil {
		return err
	}
	there, err := groups.CheckExistence(ctx, group, nil)
	if err != nil {
		return err
	}
	fmt.Println("group there", there.Success)
	return nil
}

func put(ctx context.Context, resources *armresources.Client, id string, resource armresources.GenericResource) error {
	poller, err := resources.BeginCreateOrUpdateByID(ctx, id, "2024-04-01", resource, nil)
	if err != nil {
		return err
	}
	_, err = poller.PollUntilDone(ctx, nil)
	return err
}
