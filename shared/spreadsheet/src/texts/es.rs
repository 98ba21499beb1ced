//! Spanish.

use seatkeeper_domain::import::RowErrorCode;

use super::{TemplateTexts, Texts};

pub(super) static TEXTS: Texts = Texts {
    rows: "Filas",
    totals: "Totales",
    failed: "fallida",
    not_seated: "sin plaza",
    no_seats_left: "No quedaba ninguna plaza para esta fila. Libere o pida plazas y vuelva a importarla.",
    split_name: "columna no leída. Ponga el nombre y los apellidos en dos columnas.",
    colon: ": ",
    counts: [
        "filas",
        "válidas",
        "no válidas",
        "duplicadas",
        "ya existentes",
        "creadas",
        "invitadas",
        "programadas",
        "actualizadas",
        "omitidas",
        "sin plaza",
        "fallidas",
    ],
    template: TemplateTexts {
        learners: "Alumnos",
        help: "Ayuda",
        headings: [
            "Correo electrónico",
            "Nombre",
            "Apellidos",
            "Idioma",
            "Grupos",
            "Etiquetas",
            "Roles",
            "Fecha de inicio",
            "Duración (días)",
            "Fecha de fin",
            "Fecha de eliminación",
            "Contraseña",
            "Enviar invitación",
            "Matrícula",
            "Información adicional",
        ],
        columns: [
            "La única columna necesaria. Una dirección, como nombre@ejemplo.es.",
            "",
            "",
            "El idioma de esta persona y de sus mensajes. Vacío: el elegido para la importación.",
            "Nombres o identificadores de grupos, varios separados por |.",
            "Palabras libres, varias separadas por |.",
            "Vacío: learner. Varios separados por |.",
            "El día en que se abre el acceso. Vacío o pasado: hoy.",
            "Días de acceso, del primero al último. Indique una duración o una fecha de fin, no ambas.",
            "El último día de acceso.",
            "El día en que se elimina la cuenta. No antes del fin.",
            "Vacío: la persona elige la suya. Déjela vacía al invitar.",
            "Si se envía un mensaje: sí o no.",
            "Su propio número para esta persona. Los ceros iniciales se conservan.",
            "Texto libre.",
        ],
        answers: ["sí", "no"],
        date_format: "dd/mm/yyyy",
        separator: ';',
        steps: [
            "Rellene la primera hoja, una persona por línea. Solo hace falta el correo; las columnas que no use pueden quedar vacías o quitarse.",
            "Deje los títulos en la primera línea. Las celdas con lista ofrecen lo que es posible.",
            "Guarde el archivo e impórtelo. Antes de que ocurra nada se le muestra lo que va a ocurrir.",
            "Lo que figura en esta hoja no se importa.",
        ],
        contract: "Contrato",
        examples: "Dos ejemplos",
        people: [
            ["Ana", "García", "ana.garcia@ejemplo.es"],
            ["Iker", "Etxeberria", "iker.etxeberria@ejemplo.es"],
        ],
        label_and_comment: ["turno de noche", "empieza en primavera"],
    },
    line: "Fila",
    column: "columna",
    hint,
    whole_file,
};

fn hint(code: RowErrorCode) -> &'static str {
    match code {
        RowErrorCode::MissingEmail => "indique una dirección de correo.",
        RowErrorCode::InvalidEmail => "indique una sola dirección, como nombre@ejemplo.es.",
        RowErrorCode::InvalidDate => {
            "indique una fecha que exista, con el año en cuatro cifras, como 01/03/2027 o 2027-03-01."
        }
        RowErrorCode::OutsideContract => "elija una fecha dentro del contrato.",
        RowErrorCode::EndBeforeStart => {
            "elija un fin que no sea anterior al inicio ni a hoy, y una eliminación que no sea anterior al \
             fin."
        }
        RowErrorCode::ConflictingEnd => "indique una fecha de fin o una duración, no ambas.",
        RowErrorCode::InvalidDuration => "indique un número entero de días mayor que 0, como 90.",
        RowErrorCode::UnknownLanguage => "use un idioma disponible, como es o en.",
        RowErrorCode::UnknownGroup => {
            "use el nombre o el identificador de un grupo existente; separe varios con | o ;."
        }
        RowErrorCode::RoleNotAllowed => "use un rol que pueda dar, como learner.",
        RowErrorCode::InvalidNotify => "indique sí o no.",
        RowErrorCode::WeakPassword => "elija una contraseña más larga o deje la celda vacía.",
        RowErrorCode::PasswordNotAllowed => {
            "deje la celda vacía: las personas invitadas eligen su contraseña."
        }
        RowErrorCode::InvalidCell => "la celda contiene un error como #N/A; indique un valor.",
        RowErrorCode::AlreadyExists => {
            "esta persona ya tiene aquí una plaza o una invitación; quite la fila."
        }
    }
}

fn whole_file(code: &str) -> &'static str {
    match code {
        "unsupported-format" => {
            "No es una hoja de cálculo que se pueda leer. Guárdela como .xlsx sin macros o como .csv."
        }
        "encrypted-file" => {
            "El archivo está protegido con una contraseña. Guárdelo sin contraseña."
        }
        "unreadable-file" => {
            "El archivo está vacío o dañado. Ábralo en su hoja de cálculo y guárdelo de nuevo."
        }
        "file-too-large" => "El archivo supera los 10\u{a0}MB. Divídalo o quite las imágenes.",
        "inflates-too-large" => {
            "El archivo contiene demasiado. Copie las filas en una hoja nueva y guárdela."
        }
        "too-many-rows" => "Hay demasiadas filas. Divida el archivo.",
        "too-many-columns" => "Hay más de 64 columnas. Quite las que no hacen falta.",
        "cell-too-long" => "El texto de esta celda es demasiado largo. Acórtelo.",
        "email-column-missing" => {
            "No se encontró ninguna columna de correos. Llame «email» a una en las 20 primeras filas."
        }
        "rows-invalid" => {
            "Hay filas no válidas y ninguna se importa si no lo son todas. Corríjalas y vuelva a importar."
        }
        "no-seats-left" => {
            "Hay menos plazas que filas válidas. Libere o pida plazas y vuelva a importar."
        }
        "file-gone" | "file-replaced" => {
            "El archivo se quitó o se reemplazó antes de leerlo. Vuelva a importarlo."
        }
        "contract-ended" => "El contrato ha terminado. Elija uno vigente.",
        "invalid-mode"
        | "invalid-on-existing"
        | "invalid-on-shortage"
        | "invalid-language"
        | "invalid-start-on"
        | "invalid-notify"
        | "invalid-groups"
        | "invalid-sublicense" => {
            "Un ajuste indicado con el archivo no es válido. Corríjalo y vuelva a importar."
        }
        _ => "El archivo no se importó.",
    }
}
