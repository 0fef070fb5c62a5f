//! Directory roles of Entra ID, by template id.

use uuid::{Uuid, uuid};

/// Template id of Global Administrator.
pub(crate) const GLOBAL_ADMINISTRATOR: Uuid = uuid!("62e90394-69f5-4237-9190-012177145e10");
/// Template id of Exchange Administrator.
pub(crate) const EXCHANGE_ADMINISTRATOR: Uuid = uuid!("29232cdf-9323-42fd-ade2-1d097af3e4de");
/// Template id of Exchange Recipient Administrator.
pub(crate) const RECIPIENT_ADMINISTRATOR: Uuid = uuid!("31392ffb-586c-42d1-9346-e59415a2cc4e");
/// Template id of Application Administrator.
pub(crate) const APPLICATION_ADMINISTRATOR: Uuid = uuid!("9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3");
/// Template id of Cloud Application Administrator.
pub(crate) const CLOUD_APPLICATION_ADMINISTRATOR: Uuid =
    uuid!("158c047a-c907-4556-b7ef-446551a6b5f7");
/// Template id of Privileged Role Administrator.
pub(crate) const PRIVILEGED_ROLE_ADMINISTRATOR: Uuid =
    uuid!("e8611ab8-c189-46e8-94e1-60213ab1f814");
/// Template id of Global Reader.
pub(crate) const GLOBAL_READER: Uuid = uuid!("f2ef992c-3afb-46b9-b7cf-a126ee74c451");

/// Every role a tenant can activate, with the name people see.
pub(crate) const TEMPLATES: [(Uuid, &str); 7] = [
    (GLOBAL_ADMINISTRATOR, "Global Administrator"),
    (EXCHANGE_ADMINISTRATOR, "Exchange Administrator"),
    (RECIPIENT_ADMINISTRATOR, "Exchange Recipient Administrator"),
    (APPLICATION_ADMINISTRATOR, "Application Administrator"),
    (
        CLOUD_APPLICATION_ADMINISTRATOR,
        "Cloud Application Administrator",
    ),
    (
        PRIVILEGED_ROLE_ADMINISTRATOR,
        "Privileged Role Administrator",
    ),
    (GLOBAL_READER, "Global Reader"),
];
